/* edge_metrics: what is counted and logged of each answer. */
#pragma once
#include "services/gateway/exchange.h"

void edge_metrics_open(Gateway *g);
/* Once per answer, when it is known. */
void edge_note_answer(Exchange *x);
