/* tracks: what an encoder's run left in the folder, read and put away: a file and a playlist a track. */
#pragma once
#include "services/transcode/boxes.h"
#include "services/transcode/run.h"

typedef struct Tracks {
    bool video, audio;
    Cmaf video_cmaf, audio_cmaf;
    const char *video_codecs, *audio_codecs;
    int width, height;
    double span_s; /* of the longest */
} Tracks;

/* `video` is a file of the folder, NULL none; the audio is audio.mp4, if the source has some. INPUT_DAMAGED: nothing
 * could be decoded. */
Err tracks_read(Run *run, const char *video, Tracks *out) MUST_CHECK;
/* INVALID_BODY when no playlist can be made of it. */
Err tracks_check(Run *run, const Tracks *tracks) MUST_CHECK;
/* Puts media files and playlists under hls/, and adds assets and renditions; `first`: players begin with this one. */
Err tracks_put(Run *run, const Tracks *tracks, const char *name, const char *video, bool first,
               Transcode__V1__StepResult *result) MUST_CHECK;
