/* tracks: see the header. */
#include "services/transcode/tracks.h"

#include <sys/stat.h>

#include "services/transcode/hls.h"

static const char PLAYLIST_TYPE[] = "application/vnd.apple.mpegurl";

static double seconds(const Cmaf *cmaf)
{
    return (double)cmaf->duration / cmaf->timescale;
}

static bool has_content(const Run *run, const char *file)
{
    struct stat st;
    return stat(run_path(run, file), &st) == 0 && st.st_size > 0;
}

/* An encoder that got no frame leaves an empty file, or one without fragments. */
static Err read_track(Run *run, const char *file, Cmaf *out)
{
    if (!has_content(run, file))
        return err_make(&INPUT_DAMAGED, "nothing in it could be decoded");
    return cmaf_read_path(run_path(run, file), run->mem, out);
}

Err tracks_read(Run *run, const char *video, Tracks *out)
{
    *out = (Tracks){.video = video != NULL, .audio = run->probe.has_audio};
    if (video) {
        TRY(read_track(run, video, &out->video_cmaf));
        out->video_codecs = out->video_cmaf.codecs;
        out->width = (int)out->video_cmaf.width;
        out->height = (int)out->video_cmaf.height;
        out->span_s = seconds(&out->video_cmaf);
    }
    /* Audio that says it is there and has no sound in it is as good as none, when there is video. */
    if (out->audio && video && !has_content(run, "audio.mp4"))
        out->audio = false;
    if (out->audio) {
        TRY(read_track(run, "audio.mp4", &out->audio_cmaf));
        out->audio_codecs = out->audio_cmaf.codecs;
        out->span_s = MAX(out->span_s, seconds(&out->audio_cmaf));
    }
    return OK;
}

Err tracks_check(Run *run, const Tracks *tracks)
{
    Transcode__V1__Rendition scratch = TRANSCODE__V1__RENDITION__INIT;
    Slice text;

    if (tracks->video)
        TRY(hls_media_playlist(run->mem, &tracks->video_cmaf, "x", &scratch, &text));
    return tracks->audio ? hls_media_playlist(run->mem, &tracks->audio_cmaf, "x", &scratch, &text) : OK;
}

static Err put_track(Run *run, const Cmaf *cmaf, const char *name, const char *file, Transcode__V1__Rendition *r,
                     Transcode__V1__StepResult *result)
{
    const char *media = arena_printf(run->mem, "%s.mp4", name);
    Slice playlist;

    r->name = arena_strdup(run->mem, name);
    r->uri = arena_printf(run->mem, "%s.m3u8", name);
    TRY(hls_media_playlist(run->mem, cmaf, media, r, &playlist));
    TRY(run_put_file(run,
                     &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__HLS_MEDIA,
                                 .name = arena_printf(run->mem, "hls/%s", media),
                                 .content_type = cmaf->video ? "video/mp4" : "audio/mp4",
                                 .width = (int)cmaf->width,
                                 .height = (int)cmaf->height,
                                 .codecs = cmaf->codecs},
                     file, result));
    TRY(run_put_bytes(run,
                      &(NewAsset){.kind = TRANSCODE__V1__ASSET_KIND__HLS_PLAYLIST,
                                  .name = arena_printf(run->mem, "hls/%s", r->uri),
                                  .content_type = PLAYLIST_TYPE},
                      playlist, result));
    run_add_rendition(run, result, r);
    return OK;
}

Err tracks_put(Run *run, const Tracks *tracks, const char *name, const char *video, bool first,
               Transcode__V1__StepResult *result)
{
    if (tracks->video) {
        Transcode__V1__Rendition *r = MESSAGE_NEW(run->mem, Transcode__V1__Rendition, transcode__v1__rendition__init);

        SET(r, kind, TRANSCODE__V1__RENDITION_KIND__VIDEO);
        SET(r, fps_num, run->probe.fps_num);
        SET(r, fps_den, run->probe.fps_den);
        SET(r, first, first);
        TRY(put_track(run, &tracks->video_cmaf, name, video, r, result));
    }
    if (tracks->audio) {
        Transcode__V1__Rendition *r = MESSAGE_NEW(run->mem, Transcode__V1__Rendition, transcode__v1__rendition__init);

        SET(r, kind, TRANSCODE__V1__RENDITION_KIND__AUDIO);
        SET(r, is_default, true);
        TRY(put_track(run, &tracks->audio_cmaf, "audio", "audio.mp4", r, result));
    }
    return OK;
}
