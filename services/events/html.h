/* html: pages that need no script. Every text of an entity is hostile: what comes through here is escaped, and an
 * address becomes a link only when it is http or https. Not thread-safe: a page belongs to one reply. */
#pragma once
#include "shared/strbuf.h"

enum { HTML_LINKS_MAX = 16, HTML_SUMMARY_MAX_BYTES = 300 };

typedef struct HtmlLink {
    const char *rel, *type, *href, *title; /* title may be NULL */
} HtmlLink;

typedef struct HtmlPage {
    Slice title;           /* its <title> begins with it */
    const char *site;      /* name of the node */
    Slice summary;         /* plain text, cut for the description */
    const char *canonical; /* NULL: none */
    const char *kind;      /* of Open Graph: "event"; NULL: "website" */
    Slice image;           /* of Open Graph; empty: none */
    Slice json_ld;         /* empty: none */
    const HtmlLink *links; /* in the head */
    size_t link_count;
    bool unlisted; /* search engines shall leave it out */
    bool bare;     /* without the header and the footer: inside of other people's pages */
} HtmlPage;

/* Everything up to the content, and from there on. `home` is the base of all addresses. */
void html_open(StrBuf *out, const HtmlPage *page, const char *home);
void html_close(StrBuf *out, const HtmlPage *page, const char *home);

/* For content and for quoted attributes. Characters that HTML (and XML) cannot have become U+FFFD. */
void html_text(StrBuf *out, Slice text);
/* Paragraphs at empty lines, breaks at others. */
void html_paragraphs(StrBuf *out, Slice text);
/* A link where `href` is http or https, else the text alone. `rel` may be NULL. */
void html_link(StrBuf *out, Slice href, Slice text, const char *rel);
bool html_may_link(Slice href);
/* Inside of a script element: the same JSON, in which nothing ends the element. */
void html_json(StrBuf *out, Slice json);
/* "isAccessibleForFree" as "Is accessible for free", "sel:version" as "Version". */
void html_label(StrBuf *out, Slice name);

/* Content-Security-Policy: nothing is loaded but from here, and pictures of strangers are links. */
#define HTML_POLICY                                                                                                    \
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "       \
    "frame-ancestors 'none'"
/* Of what others may put into their pages. */
#define HTML_WIDGET_POLICY                                                                                             \
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; frame-ancestors *"
