/* health: is the gateway well, and the bodies that say so in the manner of each profile. Looked at once a second. */
#pragma once
#include "services/gateway/exchange.h"

StepResult health_live(Exchange *x);    /* /livez: the process answers */
StepResult health_healthz(Exchange *x); /* /healthz, /__encore/healthz */
StepResult health_ready(Exchange *x);   /* /readyz, /ready */
StepResult health_health(Exchange *x);  /* /health */
StepResult health_api(Exchange *x);     /* /api/health */
StepResult health_version(Exchange *x); /* /version */
