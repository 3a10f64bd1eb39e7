/* events: the domain events of auth, ready for the outbox. They hold ids and facts, no private text. */
#pragma once
#include "services/auth/auth.h"

/* Borrowed from `mem`. */
OutboxRow login_ended_event(Arena *mem, IdSource *ids, Uuid login_id, int64_t user_id, Auth__V1__LoginEnd why,
                            int64_t ended_us);
OutboxRow access_changed_event(Arena *mem, IdSource *ids, int64_t user_id, int64_t changed_us);
OutboxRow user_registered_event(Arena *mem, IdSource *ids, int64_t user_id, Role role, int64_t created_us);
OutboxRow user_activity_changed_event(Arena *mem, IdSource *ids, int64_t user_id, bool active, int64_t changed_us);
OutboxRow user_profile_changed_event(Arena *mem, IdSource *ids, int64_t user_id, int64_t changed_us);
OutboxRow user_deleted_event(Arena *mem, IdSource *ids, int64_t user_id, Uuid erasure_id, int64_t deleted_us);
/* Borrowed from `mem`. */
Google__Protobuf__Timestamp *timestamp(Arena *mem, int64_t unix_us);
