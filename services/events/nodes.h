/* nodes: what other parts ask of the registry of nodes. */
#pragma once
#include "shared/slice.h"

/* A host, in small letters, with a port or without. */
bool node_domain_valid(Slice domain);
