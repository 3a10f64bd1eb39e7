/* pictures: posters, thumbnails and placeholders, of pictures and of video. Steps, for first.c. */
#pragma once
#include "services/transcode/run.h"

/* Of a picture: everything. INPUT_DAMAGED, INPUT_TOO_LARGE. */
Err picture_step(Run *run, Transcode__V1__StepResult *out) MUST_CHECK;
/* Is it a GIF of more than one picture? */
Err picture_moves(Run *run, bool *out) MUST_CHECK;
/* Of a video that was probed: from a frame that shows something. */
Err poster_step(Run *run, Transcode__V1__StepResult *out) MUST_CHECK;
