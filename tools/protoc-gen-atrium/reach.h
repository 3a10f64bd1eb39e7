/* reach: the message types and enums that rpcs reach, each once, in order of first use. */
#pragma once
#include "model.h"

typedef struct Reach {
    const Message **messages;
    size_t message_count;
    const Enum **enums;
    size_t enum_count;
} Reach;

/* Room for all that the model has. */
Reach reach_new(const Model *m);
/* Adds a message and all that its fields lead to. */
void reach_add(Reach *r, const Message *message);
/* Its index; it must have been added. */
uint32_t reach_message(const Reach *r, const Message *message);
uint32_t reach_enum(const Reach *r, const Enum *e);
