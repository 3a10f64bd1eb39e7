/* sniff: see the header. */
#include "services/transcode/sniff.h"

typedef struct Signature {
    size_t offset;
    const char *bytes;
    size_t len;
    const char *mime_type;
    MediaClass class;
} Signature;
#define SIGNATURE(offset, bytes, mime, class)                                                                          \
    {                                                                                                                  \
        offset, bytes, sizeof(bytes) - 1, mime, class                                                                  \
    }

/* The first that fits. */
static const Signature SIGNATURES[] = {
    SIGNATURE(0, "\xff\xd8\xff", "image/jpeg", CLASS_IMAGE),
    SIGNATURE(0, "\x89PNG\r\n\x1a\n", "image/png", CLASS_IMAGE),
    SIGNATURE(0, "GIF87a", "image/gif", CLASS_IMAGE),
    SIGNATURE(0, "GIF89a", "image/gif", CLASS_IMAGE),
    SIGNATURE(8, "WEBP", "image/webp", CLASS_IMAGE),
    SIGNATURE(0, "II*\0", "image/tiff", CLASS_IMAGE),
    SIGNATURE(0, "MM\0*", "image/tiff", CLASS_IMAGE),
    SIGNATURE(4, "ftypavif", "image/avif", CLASS_IMAGE),
    SIGNATURE(4, "ftypavis", "image/avif", CLASS_IMAGE),
    SIGNATURE(4, "ftypheic", "image/heic", CLASS_IMAGE),
    SIGNATURE(4, "ftypheix", "image/heic", CLASS_IMAGE),
    SIGNATURE(4, "ftypmif1", "image/heif", CLASS_IMAGE),
    SIGNATURE(0, "%PDF-", "application/pdf", CLASS_DOCUMENT),
    SIGNATURE(4, "ftypqt  ", "video/quicktime", CLASS_VIDEO),
    SIGNATURE(4, "ftypM4A ", "audio/mp4", CLASS_AUDIO),
    SIGNATURE(4, "ftyp3gp", "video/3gpp", CLASS_VIDEO),
    SIGNATURE(4, "ftyp", "video/mp4", CLASS_VIDEO),
    SIGNATURE(4, "moov", "video/quicktime", CLASS_VIDEO),
    SIGNATURE(4, "mdat", "video/quicktime", CLASS_VIDEO),
    SIGNATURE(4, "wide", "video/quicktime", CLASS_VIDEO),
    SIGNATURE(0, "\x1a\x45\xdf\xa3", "video/x-matroska", CLASS_VIDEO), /* WebM: told apart by the probe */
    SIGNATURE(8, "AVI ", "video/x-msvideo", CLASS_VIDEO),
    SIGNATURE(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf", CLASS_VIDEO),
    SIGNATURE(0, "FLV\x01", "video/x-flv", CLASS_VIDEO),
    SIGNATURE(0, "\0\0\x01\xba", "video/mpeg", CLASS_VIDEO),
    SIGNATURE(0, "\0\0\x01\xb3", "video/mpeg", CLASS_VIDEO),
    SIGNATURE(0, "\x06\x0e\x2b\x34", "application/mxf", CLASS_VIDEO),
    SIGNATURE(0, "OggS", "application/ogg", CLASS_VIDEO),
    SIGNATURE(8, "WAVE", "audio/wav", CLASS_AUDIO),
    SIGNATURE(0, "ID3", "audio/mpeg", CLASS_AUDIO),
    SIGNATURE(0, "fLaC", "audio/flac", CLASS_AUDIO),
    SIGNATURE(0, "FORM", "audio/aiff", CLASS_AUDIO),
    SIGNATURE(0, "#!AMR", "audio/amr", CLASS_AUDIO),
    SIGNATURE(0, "caff", "audio/x-caf", CLASS_AUDIO),
};

/* Packets of 188 bytes begin with 0x47. */
static bool is_transport_stream(Slice head)
{
    return head.len > 376 && head.ptr[0] == 0x47 && head.ptr[188] == 0x47 && head.ptr[376] == 0x47;
}

/* A frame of MPEG audio or ADTS begins with eleven bits. */
static bool is_audio_frame(Slice head)
{
    return head.len > 2 && (uint8_t)head.ptr[0] == 0xff && ((uint8_t)head.ptr[1] & 0xe0) == 0xe0 &&
           ((uint8_t)head.ptr[1] & 0x18) != 0x08;
}

const char *sniff(Slice head, MediaClass *out_class)
{
    for (size_t i = 0; i < ARRAY_LEN(SIGNATURES); i++) {
        const Signature *s = &SIGNATURES[i];

        if (slice_starts_with(slice_skip(head, s->offset), slice_of(s->bytes, s->len))) {
            *out_class = s->class;
            return s->mime_type;
        }
    }
    if (is_transport_stream(head)) {
        *out_class = CLASS_VIDEO;
        return "video/mp2t";
    }
    if (is_audio_frame(head)) {
        *out_class = CLASS_AUDIO;
        return ((uint8_t)head.ptr[1] & 0x06) == 0 ? "audio/aac" : "audio/mpeg";
    }
    *out_class = CLASS_OTHER;
    return "";
}

/* The first eleven are those that the original took for video. */
MediaClass class_claimed(const char *mime_type, const char *filename)
{
    static const char *const VIDEO[] = {".mp4",  ".mkv", ".avi", ".mov", ".wmv", ".flv", ".webm", ".m4v",
                                        ".mpeg", ".mpg", ".3gp", ".ts",  ".mts", ".ogv", ".mxf"};
    static const char *const AUDIO[] = {".mp3", ".m4a", ".aac", ".flac", ".wav", ".ogg", ".opus", ".oga"};
    static const char *const IMAGE[] = {".jpg",  ".jpeg", ".png",  ".gif", ".webp",
                                        ".heic", ".heif", ".avif", ".tif", ".tiff"};
    const char *dot = filename ? strrchr(filename, '.') : NULL;

    if (slice_starts_with(slice(mime_type), SLICE_LIT("video/")))
        return CLASS_VIDEO;
    for (size_t i = 0; dot && i < ARRAY_LEN(VIDEO); i++)
        if (slice_eq_nocase(slice(dot), slice(VIDEO[i])))
            return CLASS_VIDEO;
    for (size_t i = 0; dot && i < ARRAY_LEN(AUDIO); i++)
        if (slice_eq_nocase(slice(dot), slice(AUDIO[i])))
            return CLASS_AUDIO;
    for (size_t i = 0; dot && i < ARRAY_LEN(IMAGE); i++)
        if (slice_eq_nocase(slice(dot), slice(IMAGE[i])))
            return CLASS_IMAGE;
    return CLASS_OTHER;
}
