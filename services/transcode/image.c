/* image: reads one picture and makes what is shown of it, in a confined process of its own:
 *
 *   transcode-image INPUT MAX_PIXELS WIDTH…
 *
 * writes poster.jpg and thumb-<width>.jpg and .webp into the present folder, upright, never larger than the picture,
 * with its colour profile and nothing else that the camera said; and prints what it made:
 *
 *   size WIDTH HEIGHT       upright
 *   hash BASE64             ThumbHash
 *   file NAME WIDTH HEIGHT
 *
 * Exit status: 0, IMAGE_UNREADABLE or IMAGE_TOO_LARGE. */
#include <vips/vips.h>

/* Ours are the same. */
#undef MIN
#undef MAX

#include <math.h>

#include "services/transcode/confine.h"
#include "shared/base.h"

enum { POSTER_WIDTH = 1280, HASH_SIDE = 100, QUALITY = 82, TALL = 10000000, AC_MAX = 64, HASH_MAX = 64 };

static _Noreturn void give_up(int status)
{
    fprintf(stderr, "%s", vips_error_buffer());
    exit(status);
}

/* --- ThumbHash --------------------------------------------------------------------------------------------------- */
/* The picture's lowest frequencies: a cosine transform of brightness and two colour differences, four bits a term. */
typedef struct Channel {
    double dc, scale, ac[AC_MAX];
    int count;
} Channel;

static Channel transform(const double *values, int w, int h, int nx, int ny)
{
    Channel c = {0};

    for (int cy = 0; cy < ny; cy++) {
        for (int cx = 0; cx * ny < nx * (ny - cy); cx++) {
            double f = 0;

            for (int y = 0; y < h; y++)
                for (int x = 0; x < w; x++)
                    f += values[x + y * w] * cos(M_PI / w * cx * (x + 0.5)) * cos(M_PI / h * cy * (y + 0.5));
            f /= w * h;
            if (cx == 0 && cy == 0) {
                c.dc = f;
            } else if (c.count < AC_MAX) {
                c.ac[c.count++] = f;
                c.scale = fmax(c.scale, fabs(f));
            }
        }
    }
    for (int i = 0; i < c.count && c.scale > 0; i++)
        c.ac[i] = 0.5 + 0.5 / c.scale * c.ac[i];
    return c;
}

static unsigned quantised(double value, unsigned most)
{
    return (unsigned)fmin(fmax(lround(value), 0), most);
}

typedef struct Planes {
    double *l, *p, *q, *a;
    bool alpha;
} Planes;

static Planes split_planes(const uint8_t *rgba, int pixels)
{
    Planes out = {.l = xcalloc((size_t)pixels, sizeof(double)),
                  .p = xcalloc((size_t)pixels, sizeof(double)),
                  .q = xcalloc((size_t)pixels, sizeof(double)),
                  .a = xcalloc((size_t)pixels, sizeof(double))};
    double mean[3] = {0}, opaque = 0;

    for (int i = 0; i < pixels; i++) {
        double alpha = rgba[i * 4 + 3] / 255.0;
        opaque += alpha;
        for (int c = 0; c < 3; c++)
            mean[c] += alpha / 255.0 * rgba[i * 4 + c];
    }
    for (int c = 0; c < 3; c++)
        mean[c] = opaque > 0 ? mean[c] / opaque : 0;
    out.alpha = opaque < pixels;
    for (int i = 0; i < pixels; i++) {
        double alpha = rgba[i * 4 + 3] / 255.0, rgb[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = mean[c] * (1 - alpha) + alpha / 255.0 * rgba[i * 4 + c];
        out.l[i] = (rgb[0] + rgb[1] + rgb[2]) / 3;
        out.p[i] = (rgb[0] + rgb[1]) / 2 - rgb[2];
        out.q[i] = rgb[0] - rgb[1];
        out.a[i] = alpha;
    }
    return out;
}

static size_t thumbhash(const uint8_t *rgba, int w, int h, uint8_t out[HASH_MAX])
{
    Planes planes = split_planes(rgba, w * h);
    int limit = planes.alpha ? 5 : 7, longer = MAX(w, h);
    int lx = MAX((int)lround((double)limit * w / longer), 1), ly = MAX((int)lround((double)limit * h / longer), 1);
    Channel channels[4] = {transform(planes.l, w, h, MAX(lx, 3), MAX(ly, 3)), transform(planes.p, w, h, 3, 3),
                           transform(planes.q, w, h, 3, 3), transform(planes.a, w, h, 5, 5)};
    bool wide = w > h;
    uint32_t head = quantised(63 * channels[0].dc, 63) | quantised(31.5 + 31.5 * channels[1].dc, 63) << 6 |
                    quantised(31.5 + 31.5 * channels[2].dc, 63) << 12 | quantised(31 * channels[0].scale, 31) << 18 |
                    (planes.alpha ? 1U : 0U) << 23;
    uint32_t tail = (unsigned)(wide ? ly : lx) | quantised(63 * channels[1].scale, 63) << 3 |
                    quantised(63 * channels[2].scale, 63) << 9 | (wide ? 1U : 0U) << 15;
    size_t at = 0, nibble = 0;

    memset(out, 0, HASH_MAX);
    for (int i = 0; i < 3; i++)
        out[at++] = (uint8_t)(head >> (8 * i));
    for (int i = 0; i < 2; i++)
        out[at++] = (uint8_t)(tail >> (8 * i));
    if (planes.alpha)
        out[at++] = (uint8_t)(quantised(15 * channels[3].dc, 15) | quantised(15 * channels[3].scale, 15) << 4);
    for (int c = 0; c < (planes.alpha ? 4 : 3); c++)
        for (int i = 0; i < channels[c].count && at + nibble / 2 < HASH_MAX; i++, nibble++)
            out[at + nibble / 2] |= (uint8_t)(quantised(15 * channels[c].ac[i], 15) << (nibble % 2 * 4));
    free(planes.l), free(planes.p), free(planes.q), free(planes.a);
    return at + (nibble + 1) / 2;
}

static void print_hash(const char *input)
{
    VipsImage *small = NULL, *colour = NULL, *alpha = NULL;
    uint8_t hash[HASH_MAX], *pixels;
    size_t bytes;
    char *text;

    if (vips_thumbnail(input, &small, HASH_SIDE, "height", HASH_SIDE, "size", VIPS_SIZE_DOWN, NULL) != 0 ||
        vips_colourspace(small, &colour, VIPS_INTERPRETATION_sRGB, NULL) != 0)
        give_up(IMAGE_UNREADABLE);
    if (vips_image_hasalpha(colour)) {
        alpha = colour;
        g_object_ref(alpha);
    } else if (vips_addalpha(colour, &alpha, NULL) != 0) {
        give_up(IMAGE_UNREADABLE);
    }
    pixels =
        alpha->Bands == 4 && alpha->BandFmt == VIPS_FORMAT_UCHAR ? vips_image_write_to_memory(alpha, &bytes) : NULL;
    if (pixels) {
        text = g_base64_encode(hash, thumbhash(pixels, alpha->Xsize, alpha->Ysize, hash));
        printf("hash %s\n", text);
        g_free(text);
        g_free(pixels);
    }
    g_object_unref(alpha);
    g_object_unref(colour);
    g_object_unref(small);
}

/* --- pictures ---------------------------------------------------------------------------------------------------- */
/* All but the colour profile: position, serial numbers, names, and the small pictures that cameras put beside. */
static void *forget_field(VipsImage *image, const char *field, GValue *value, void *unused)
{
    static const char *const KEPT[] = {VIPS_META_ICC_NAME};
    VipsImage *to = unused;
    (void)image, (void)value;

    for (size_t i = 0; i < ARRAY_LEN(KEPT); i++)
        if (strcmp(field, KEPT[i]) == 0)
            return NULL;
    if (g_str_has_prefix(field, "exif-") || g_str_has_prefix(field, "xmp-") || g_str_has_prefix(field, "iptc-") ||
        g_str_has_prefix(field, "jpeg-") || g_str_has_prefix(field, "png-") || g_str_has_prefix(field, "gif-") ||
        strcmp(field, VIPS_META_PHOTOSHOP_NAME) == 0 || strcmp(field, VIPS_META_IMAGEDESCRIPTION) == 0 ||
        g_str_has_prefix(field, "heif-") || strcmp(field, VIPS_META_ORIENTATION) == 0)
        vips_image_remove(to, field);
    return NULL;
}

static VipsImage *make(const char *input, int width)
{
    VipsImage *small = NULL, *whole = NULL, *plain = NULL;

    /* In memory, since it is read as often as it is written, and files can be read only once from top to bottom. */
    if (vips_thumbnail(input, &small, width, "height", TALL, "size", VIPS_SIZE_DOWN, NULL) != 0 ||
        !(whole = vips_image_copy_memory(small)) || vips_copy(whole, &plain, NULL) != 0)
        give_up(IMAGE_UNREADABLE);
    g_object_unref(small);
    g_object_unref(whole);
    vips_image_map(plain, forget_field, plain);
    return plain;
}

static void save_jpeg(VipsImage *image, const char *name)
{
    VipsImage *flat = NULL;
    VipsArrayDouble *white = vips_array_double_newv(1, 255.0);

    if (vips_image_hasalpha(image)) {
        if (vips_flatten(image, &flat, "background", white, NULL) != 0)
            give_up(IMAGE_UNREADABLE);
    } else {
        flat = image;
        g_object_ref(flat);
    }
    if (vips_jpegsave(flat, name, "Q", QUALITY, "optimize_coding", TRUE, "interlace", TRUE, NULL) != 0)
        give_up(IMAGE_UNREADABLE);
    printf("file %s %d %d\n", name, flat->Xsize, flat->Ysize);
    vips_area_unref(VIPS_AREA(white));
    g_object_unref(flat);
}

static void make_files(const char *input, int width)
{
    VipsImage *image = make(input, width);
    char name[64];

    snprintf(name, sizeof name, "thumb-%d.jpg", width);
    save_jpeg(image, name);
    snprintf(name, sizeof name, "thumb-%d.webp", width);
    if (vips_webpsave(image, name, "Q", QUALITY - 4, NULL) != 0)
        give_up(IMAGE_UNREADABLE);
    printf("file %s %d %d\n", name, image->Xsize, image->Ysize);
    g_object_unref(image);
}

/* From its head alone, before a pixel is decoded. */
static void check_size(const char *input, long long max_pixels)
{
    VipsImage *image = vips_image_new_from_file(input, "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    int orientation;

    if (!image)
        give_up(IMAGE_UNREADABLE);
    if ((long long)image->Xsize * image->Ysize > max_pixels)
        exit(IMAGE_TOO_LARGE);
    orientation = vips_image_get_orientation(image);
    if (orientation >= 5)
        printf("size %d %d\n", vips_image_get_page_height(image), image->Xsize);
    else
        printf("size %d %d\n", image->Xsize, vips_image_get_page_height(image));
    g_object_unref(image);
}

int main(int argc, char **argv)
{
    VipsImage *poster;

    if (argc < 3 || vips_init(argv[0]) != 0)
        return IMAGE_UNREADABLE;
    /* Loaders that were not made to withstand strangers stay out. */
    vips_block_untrusted_set(TRUE);
    vips_cache_set_max(0);
    check_size(argv[1], strtoll(argv[2], NULL, 10));
    print_hash(argv[1]);
    poster = make(argv[1], POSTER_WIDTH);
    save_jpeg(poster, "poster.jpg");
    for (int i = 3; i < argc; i++)
        make_files(argv[1], (int)strtol(argv[i], NULL, 10));
    g_object_unref(poster);
    vips_shutdown();
    return 0;
}
