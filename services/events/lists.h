/* lists: what answers with lists have in common (contract 3.5). */
#pragma once
#include "services/events/store_list.h"

/* Appends `,"warnings":[…]` when there are any. */
void list_write_warnings(StrBuf *out, const Warnings *warnings);
/* Of a list's hash, and one more thing that it shows. */
uint64_t list_mix(uint64_t hash, uint64_t value);
/* ETag of a list, of what its rows are; true: the caller has it already, and the answer is 304. */
bool list_is_known(Request *rq, uint64_t hash, const char *representation);
/* An event of a list: its card with the dates of the row. `context` is a whole first member, or empty. */
void list_write_card(StrBuf *out, const ListRow *row, Slice context);
