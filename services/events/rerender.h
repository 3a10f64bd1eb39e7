/* rerender: documents of events say what their places and organisers are called and where they are. When one of these
 * has changed, its events' documents are written anew: some at once, for whoever made the change, the rest in the
 * background, a turn a transaction. That way a change locks no event while it holds its place, and one of a place with
 * ten thousand events takes no longer than another. */
#pragma once
#include "services/events/entity.h"

/* One turn, in a transaction of its own: of what waits for `entity`, or nil: of whatever waits. An event that cannot be
 * written anew is logged and left as it is. `out_more`: there is more to do. */
Err rerender_turn(Request *rq, Uuid entity, bool *out_more) MUST_CHECK;
/* After the commit of a change: the first turn. What fails is done in the background: no business of the caller. */
void rerender_at_once(Request *rq, Uuid entity);
