/* pictures: see the header. */
#include "services/transcode/pictures.h"

#include <math.h>
#include <unistd.h>

#include "services/transcode/confine.h"
#include "services/transcode/encode.h"

enum {
    IMAGE_WALL_MS = 120000,
    IMAGE_OUTPUT_MAX_BYTES = 8192,
    GIF_MAX_BLOCKS = 200000,
    POSTER_WIDTH = 1280,
    NAME_BYTES = 40
};

/* --- the tool ---------------------------------------------------------------------------------------------------- */
static Err take_file(Run *run, const char *name, int width, int height, Transcode__V1__StepResult *out)
{
    bool webp = slice_ends_with(slice(name), SLICE_LIT(".webp")), poster = strcmp(name, "poster.jpg") == 0;

    return run_put_file(
        run,
        &(NewAsset){.kind = poster ? TRANSCODE__V1__ASSET_KIND__POSTER : TRANSCODE__V1__ASSET_KIND__THUMBNAIL,
                    .name = name,
                    .content_type = webp ? "image/webp" : "image/jpeg",
                    .width = width,
                    .height = height},
        name, out);
}

/* Names are ours: what the tool says is looked for among them. */
static bool known_name(const char *name)
{
    static const char *const NAMES[] = {"poster.jpg",     "thumb-320.jpg",  "thumb-320.webp", "thumb-640.jpg",
                                        "thumb-640.webp", "thumb-1280.jpg", "thumb-1280.webp"};

    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (strcmp(name, NAMES[i]) == 0)
            return true;
    return false;
}

static Err take_line(Run *run, const char *line, Transcode__V1__StepResult *out)
{
    char word[NAME_BYTES + 24];
    int width, height;

    if (sscanf(line, "size %d %d", &width, &height) == 2 && width > 0 && height > 0) {
        SET(out->facts, width, width);
        SET(out->facts, height, height);
    } else if (sscanf(line, "hash %60s", word) == 1) {
        Slice decoded;
        if (base64_decode(run->mem, slice(word), &decoded))
            out->facts->thumbhash = arena_strdup(run->mem, word);
    } else if (sscanf(line, "file %40s %d %d", word, &width, &height) == 3 && known_name(word)) {
        return take_file(run, word, width, height, out);
    }
    return OK;
}

static Err judge(const ChildResult *r)
{
    if (r->end == CHILD_EXITED && r->status == IMAGE_TOO_LARGE)
        return err_make(&INPUT_TOO_LARGE, "the picture has too many pixels");
    if (r->end == CHILD_EXITED && r->status == IMAGE_UNREADABLE)
        return err_make(&INPUT_DAMAGED, "the picture cannot be read");
    return child_verdict(r, "reading the picture");
}

static Err make_pictures(Run *run, const char *input, int input_fd, Transcode__V1__StepResult *out)
{
    const char *const args[] = {
        input, arena_printf(run->mem, "%" PRId64, run->t->settings->max_pixels), "320", "640", "1280", NULL};
    ChildResult result;
    Slice rest, line;

    TRY(child_run(&run->t->children, run->mem,
                  &(ChildSpec){.program = run->t->image_tool,
                               .args = args,
                               .dir = run->dir,
                               .input_fd = input_fd,
                               .wall_ms = IMAGE_WALL_MS,
                               .output_max_bytes = IMAGE_OUTPUT_MAX_BYTES,
                               .cancelled = run_cancelled,
                               .data = run},
                  &result));
    TRY(judge(&result));
    rest = result.output;
    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest); /* false is the last one */
        TRY(take_line(run, slice_cstr(run->mem, line), out));
    }
    return out->n_assets ? OK : err_make(&INTERNAL, "no pictures were made");
}

Err picture_step(Run *run, Transcode__V1__StepResult *out)
{
    out->facts = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    out->facts->mime_type = arena_strdup(run->mem, run->mime_type);
    return make_pictures(run, "/proc/self/fd/3", run->input_fd, out);
}

/* --- GIF --------------------------------------------------------------------------------------------------------- */
typedef struct Gif {
    int fd;
    off_t at;
    bool broken;
} Gif;

static int next_byte(Gif *g)
{
    uint8_t byte;

    if (pread(g->fd, &byte, 1, g->at++) != 1) {
        g->broken = true;
        return 0;
    }
    return byte;
}

static void skip_blocks(Gif *g, int *budget)
{
    for (int len; !g->broken && (*budget)-- > 0 && (len = next_byte(g)) > 0;)
        g->at += len;
}

static int table_bytes(int flags)
{
    return flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
}

/* Looks no further than the second picture. */
Err picture_moves(Run *run, bool *out)
{
    Gif g = {.fd = run->input_fd, .at = 10};
    int pictures = 0, budget = GIF_MAX_BLOCKS;

    *out = false;
    if (strcmp(run->mime_type, "image/gif") != 0)
        return OK;
    g.at += table_bytes(next_byte(&g)) + 2;
    while (!g.broken && pictures < 2 && budget-- > 0) {
        int kind = next_byte(&g);

        if (kind == 0x21) {
            g.at++;
        } else if (kind == 0x2c) {
            pictures++;
            g.at += 8;
            g.at += table_bytes(next_byte(&g)) + 1;
        } else {
            break;
        }
        skip_blocks(&g, &budget);
    }
    *out = pictures > 1;
    return OK;
}

/* --- a video's ---------------------------------------------------------------------------------------------------- */
typedef struct Light {
    double mean, low, high; /* of luma, 0 to 255 */
} Light;

static void read_light(void *data, Slice line)
{
    Light *light = data;
    char text[128];

    snprintf(text, sizeof text, SLICE_FMT, SLICE_ARG(slice_take(line, sizeof text - 1)));
    (void)(sscanf(text, "lavfi.signalstats.YAVG=%lf", &light->mean) ||
           sscanf(text, "lavfi.signalstats.YLOW=%lf", &light->low) ||
           sscanf(text, "lavfi.signalstats.YHIGH=%lf", &light->high));
}

/* One frame at a time of the film, as frame.jpg, with its brightness. False: there is no frame there. */
static Err take_frame(Run *run, double at_s, const char *file, Light *light, bool *there)
{
    const Probe *p = &run->probe;
    int width = MIN(p->width, POSTER_WIDTH), height = MAX((int)lround((double)p->height * width / p->width), 1);
    Args args = {.mem = run->mem};
    ChildResult result;

    *light = (Light){.mean = -1};
    ARGS_ADD(&args, "-hide_banner", "-nostdin", "-nostats", "-y", "-loglevel", "error");
    args_input(&args, run->t->settings->max_pixels, 1, at_s);
    args_add(&args, "-map");
    args_printf(&args, "0:%d", p->video_index);
    args_add(&args, "-vf");
    args_printf(&args, "%s,signalstats,metadata=mode=print:file=-", filter_normal(run->mem, p, width, height, false));
    ARGS_ADD(&args, "-frames:v", "1", "-q:v", "2", "-pix_fmt", "yuvj420p", "-map_metadata", "-1", "-f", "image2",
             "-update", "1", file);
    TRY(child_run(&run->t->children, run->mem,
                  &(ChildSpec){.program = run->t->settings->ffmpeg,
                               .args = args.list,
                               .dir = run->dir,
                               .input_fd = run->input_fd,
                               .wall_ms = IMAGE_WALL_MS,
                               .line = read_light,
                               .data = light},
                  &result));
    *there =
        result.end == CHILD_EXITED && result.status == 0 && light->mean >= 0 && access(run_path(run, file), R_OK) == 0;
    return result.end == CHILD_EXITED ? OK : child_verdict(&result, "taking a frame");
}

static bool shows_something(const Light *l)
{
    return l->mean > 28 && l->mean < 232 && l->high - l->low > 24;
}

/* Of black, white and fades the least bad. */
static double worth(const Light *l)
{
    return (l->high - l->low) + 64 - fabs(l->mean - 120) / 2;
}

/* Some way in, where the film has begun, then elsewhere; the first picture for those that are shorter than a moment. */
static Err choose_frame(Run *run, const char **out)
{
    static const double PLACES[] = {0.1, 0.3, 0.5, 0.2, 0.7, 0};
    double best = -1000;
    int places = run->probe.duration_s > 0.5 ? (int)ARRAY_LEN(PLACES) : 1;

    *out = NULL;
    for (int i = 0; i < places; i++) {
        const char *file = arena_printf(run->mem, "frame-%d.jpg", i);
        Light light;
        bool there;

        TRY(take_frame(run, places == 1 ? 0 : PLACES[i] * run->probe.duration_s, file, &light, &there));
        if (there && (shows_something(&light) || worth(&light) > best)) {
            best = worth(&light);
            *out = file;
        }
        if (there && shows_something(&light))
            return OK;
    }
    return *out ? OK : err_make(&INPUT_DAMAGED, "no picture of it could be taken");
}

Err poster_step(Run *run, Transcode__V1__StepResult *out)
{
    const char *frame;

    TRY(choose_frame(run, &frame));
    out->facts = MESSAGE_NEW(run->mem, Transcode__V1__MediaFacts, transcode__v1__media_facts__init);
    TRY(make_pictures(run, frame, -1, out));
    /* Of the frame, and smaller than the film. */
    out->facts->has_width = out->facts->has_height = false;
    return OK;
}
