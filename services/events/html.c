#include "services/events/html.h"

/* Contrast of all pairs is above 7:1, sizes follow the reader's own. */
static const char STYLE[] =
    "body{font:1rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;margin:0 auto;max-width:50rem;padding:0 "
    "1rem}"
    "a{color:#0b4a8f}a:focus,input:focus,select:focus,button:focus{outline:3px solid #0b4a8f}"
    "header,footer{padding:1rem 0}header{border-bottom:1px solid #767676}footer{border-top:1px solid #767676;"
    "margin-top:2rem;font-size:.9rem}nav a{margin-right:1rem}h1{line-height:1.2}"
    "ul.events{list-style:none;padding:0}ul.events li{padding:.75rem 0;border-bottom:1px solid #c4c4c4}"
    "dt{font-weight:600}dd{margin:0 0 .5rem 0}form{display:flex;flex-wrap:wrap;gap:.75rem;align-items:end}"
    "label{display:block;font-size:.9rem}input,select,button{font:inherit;padding:.3rem}"
    ".status{display:inline-block;border:2px solid #8a1f11;color:#8a1f11;padding:.1rem .5rem;font-weight:600}"
    ".skip{position:absolute;left:-999rem}.skip:focus{position:static}pre{overflow:auto}";

/* U+FFFE and U+FFFF; everything else above ASCII may stand in a page. */
static bool is_nothing(Slice text)
{
    return text.len >= 3 && (unsigned char)text.ptr[0] == 0xef && (unsigned char)text.ptr[1] == 0xbf &&
           (unsigned char)text.ptr[2] >= 0xbe;
}

static const char *replacement(Slice text)
{
    switch (text.ptr[0]) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return NULL;
    default:
        if ((unsigned char)text.ptr[0] < 0x20 || text.ptr[0] == 0x7f || is_nothing(text))
            return "\xef\xbf\xbd";
        return NULL;
    }
}

void html_text(StrBuf *out, Slice text)
{
    size_t plain = 0;

    for (size_t i = 0; i < text.len;) {
        const char *instead = replacement(slice_skip(text, i));
        size_t len = utf8_first(slice_skip(text, i));

        if (instead || len == 0) {
            strbuf_append(out, slice_of(text.ptr + plain, i - plain));
            strbuf_append_cstr(out, instead ? instead : "\xef\xbf\xbd");
            plain = i + (len ? len : 1);
        }
        i += len ? len : 1;
    }
    strbuf_append(out, slice_skip(text, plain));
}

void html_paragraphs(StrBuf *out, Slice text)
{
    Slice line;
    bool open = false;

    while (text.len > 0) {
        (void)slice_cut(text, '\n', &line, &text);
        line = slice_trim(line);
        if (line.len == 0) {
            strbuf_append_cstr(out, open ? "</p>\n" : "");
            open = false;
            continue;
        }
        strbuf_append_cstr(out, open ? "<br>\n" : "<p>");
        html_text(out, line);
        open = true;
    }
    strbuf_append_cstr(out, open ? "</p>\n" : "");
}

bool html_may_link(Slice href)
{
    return slice_eq_nocase(slice_take(href, 8), SLICE_LIT("https://")) ||
           slice_eq_nocase(slice_take(href, 7), SLICE_LIT("http://"));
}

void html_link(StrBuf *out, Slice href, Slice text, const char *rel)
{
    if (!html_may_link(href)) {
        html_text(out, text);
        return;
    }
    strbuf_append_cstr(out, "<a href=\"");
    html_text(out, href);
    if (rel)
        strbuf_printf(out, "\" rel=\"%s", rel);
    strbuf_append_cstr(out, "\">");
    html_text(out, text);
    strbuf_append_cstr(out, "</a>");
}

void html_json(StrBuf *out, Slice json)
{
    size_t plain = 0;

    for (size_t i = 0; i < json.len; i++) {
        unsigned char c = (unsigned char)json.ptr[i];
        bool separator = c == 0xe2 && i + 2 < json.len && (unsigned char)json.ptr[i + 1] == 0x80 &&
                         ((unsigned char)json.ptr[i + 2] | 1) == 0xa9;

        if (c != '<' && c != '>' && c != '&' && !separator)
            continue;
        strbuf_append(out, slice_of(json.ptr + plain, i - plain));
        if (separator) {
            strbuf_printf(out, "\\u20%02x", (unsigned char)json.ptr[i + 2] == 0xa8 ? 0x28 : 0x29);
            i += 2;
        } else
            strbuf_printf(out, "\\u%04x", c);
        plain = i + 1;
    }
    strbuf_append(out, slice_skip(json, plain));
}

void html_label(StrBuf *out, Slice name)
{
    StrBuf words = strbuf_new(out->mem, 2 * name.len + 1);
    Slice prefix, rest;

    if (slice_cut(name, ':', &prefix, &rest))
        name = rest;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (i == 0)
            strbuf_append_char(&words, (char)(c >= 'a' && c <= 'z' ? c - 32 : c));
        else if (c >= 'A' && c <= 'Z') {
            strbuf_append_char(&words, ' ');
            strbuf_append_char(&words, (char)(c + 32));
        } else
            strbuf_append_char(&words, c);
    }
    html_text(out, strbuf_slice(&words)); /* it may be the end of somebody's IRI */
}

/* --- the frame -----------------------------------------------------------------------------------------------------
 */
static void write_meta(StrBuf *out, const char *attribute, const char *name, Slice content)
{
    if (content.len == 0)
        return;
    strbuf_printf(out, "<meta %s=\"%s\" content=\"", attribute, name);
    html_text(out, content);
    strbuf_append_cstr(out, "\">\n");
}

static void write_head_link(StrBuf *out, const HtmlLink *link)
{
    strbuf_printf(out, "<link rel=\"%s\"", link->rel);
    if (link->type)
        strbuf_printf(out, " type=\"%s\"", link->type);
    if (link->title) {
        strbuf_append_cstr(out, " title=\"");
        html_text(out, slice(link->title));
        strbuf_append_char(out, '"');
    }
    strbuf_append_cstr(out, " href=\"");
    html_text(out, slice(link->href));
    strbuf_append_cstr(out, "\">\n");
}

static void write_head(StrBuf *out, const HtmlPage *page)
{
    Slice summary = utf8_take(page->summary, HTML_SUMMARY_MAX_BYTES);

    strbuf_append_cstr(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>");
    html_text(out, page->title);
    strbuf_append_cstr(out, " \xc2\xb7 ");
    html_text(out, slice(page->site));
    strbuf_append_cstr(out, "</title>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    write_meta(out, "name", "description", summary);
    if (page->unlisted)
        write_meta(out, "name", "robots", SLICE_LIT("noindex"));
    write_meta(out, "property", "og:title", page->title);
    write_meta(out, "property", "og:type", slice(page->kind ? page->kind : "website"));
    write_meta(out, "property", "og:site_name", slice(page->site));
    write_meta(out, "property", "og:description", summary);
    write_meta(out, "property", "og:image", page->image);
    if (page->canonical) {
        write_meta(out, "property", "og:url", slice(page->canonical));
        write_head_link(out, &(HtmlLink){.rel = "canonical", .href = page->canonical});
    }
    for (size_t i = 0; i < page->link_count; i++)
        write_head_link(out, &page->links[i]);
    strbuf_printf(out, "<style>%s</style>\n", STYLE);
    if (page->json_ld.len > 0) {
        strbuf_append_cstr(out, "<script type=\"application/ld+json\">");
        html_json(out, page->json_ld);
        strbuf_append_cstr(out, "</script>\n");
    }
    strbuf_append_cstr(out, "</head>\n");
}

void html_open(StrBuf *out, const HtmlPage *page, const char *home)
{
    write_head(out, page);
    strbuf_append_cstr(out, "<body>\n");
    if (!page->bare) {
        strbuf_append_cstr(out, "<a class=\"skip\" href=\"#content\">Skip to content</a>\n<header>\n<nav "
                                "aria-label=\"Main\">");
        strbuf_printf(out,
                      "<a href=\"%s/events\">Events</a><a href=\"%s/dataset\">Data</a>"
                      "<a href=\"%s/api/docs\">For programs</a></nav>\n</header>\n",
                      home, home, home);
    }
    strbuf_append_cstr(out, "<main id=\"content\">\n");
}

void html_close(StrBuf *out, const HtmlPage *page, const char *home)
{
    strbuf_append_cstr(out, "</main>\n");
    if (!page->bare)
        strbuf_printf(out,
                      "<footer>Public data, <a href=\"https://creativecommons.org/publicdomain/zero/1.0/\" "
                      "rel=\"license\">CC0</a> unless a page says otherwise. <a href=\"%s/events.atom\">Atom</a> "
                      "<a href=\"%s/api/v1/events.ics\">Calendar</a></footer>\n",
                      home, home);
    strbuf_append_cstr(out, "</body>\n</html>\n");
}
