/* text: what texts of strangers become before they are stored, and how names are compared (contracts/events.md 7.2
 * and 8). No state: any thread. Everything returned is borrowed from `mem` and valid UTF-8; so must be what is given
 * (text_scrub makes it so). */
#pragma once
#include "shared/slice.h"

typedef enum TextShape {
    TEXT_LINE,       /* white space collapses to single spaces */
    TEXT_PARAGRAPHS, /* the same, but an empty line (or a block of markup) stays: "\n\n" */
    TEXT_MARKUP_KEPT /* characters only: neither entities, nor markup, nor white space are touched */
} TextShape;

/* Decodes character entities (once), strips markup (so what was markup in entities goes, too; nothing that is left
 * begins a tag), drops characters that XML cannot hold and those that hide, collapses white space, trims. A text that
 * shows nothing is empty. */
Slice text_clean(Arena *mem, Slice raw, TextShape shape);

/* In small letters, accents and all; for keywords. */
Slice text_lower(Arena *mem, Slice text);
/* For comparing: NFKC, case folded, without accents: "Café ＤＡＮＣＥ" is "cafe dance". */
Slice text_fold(Arena *mem, Slice text);
/* A name as duplicates are sought by: folded, "&" is "and", punctuation is a space, spaces collapse. A name of
 * punctuation alone is itself folded: it must not be equal to every other one. */
Slice text_key(Arena *mem, Slice name);
/* Does this letter-case-folded key speak of several sessions: "6 weeks", "4 sessions", "weekly", "workshop series"? */
bool text_key_is_course(Slice key);
