/* routes: see routes.h. */
#include "shared/routes.h"

#include "atrium/reasons.atrium.h"
#include "shared/strbuf.h"

typedef struct Variable {
    Slice field;
    size_t first, last; /* segments of the template it covers, both counted; last == TO_THE_END for `**` */
} Variable;

enum { TO_THE_END = ROUTES_MAX_SEGMENTS };

typedef struct Leaf {
    const void *target;
    const char *path;
    Variable variables[ROUTES_MAX_VARIABLES];
    size_t variable_count;
    Slice suffix; /* of a `**` or a variable at the end: ":cancel", else empty */
} Leaf;

typedef struct Node Node;
struct Node {
    Slice key; /* the literal, or a variable's suffix */
    Node **literals;
    size_t literal_count, literal_cap;
    Node **suffixed; /* variables with a suffix, longest first */
    size_t suffixed_count, suffixed_cap;
    Node *variable;
    Leaf *leaf;
    Leaf **rest; /* `**`, longest suffix first */
    size_t rest_count, rest_cap;
};

struct RouteTree {
    Arena *mem;
    struct {
        Slice method;
        Node *root;
    } methods[ROUTES_MAX_METHODS];
    size_t method_count;
};

RouteTree *routes_new(Arena *mem)
{
    RouteTree *tree = ARENA_NEW(mem, RouteTree);

    tree->mem = mem;
    return tree;
}

/* --- templates --------------------------------------------------------------------------------------------------- */
typedef enum SegmentKind { SEGMENT_LITERAL, SEGMENT_ANY, SEGMENT_REST } SegmentKind;

typedef struct Template {
    struct {
        SegmentKind kind;
        Slice text; /* of a literal */
    } segments[ROUTES_MAX_SEGMENTS];
    size_t count;
    Variable variables[ROUTES_MAX_VARIABLES];
    size_t variable_count;
    Slice suffix;
} Template;

static bool add_segment(Template *t, Slice text)
{
    SegmentKind kind = slice_eq_cstr(text, "**")  ? SEGMENT_REST
                       : slice_eq_cstr(text, "*") ? SEGMENT_ANY
                                                  : SEGMENT_LITERAL;

    if (t->count == ROUTES_MAX_SEGMENTS || (t->count && t->segments[t->count - 1].kind == SEGMENT_REST))
        return false; /* nothing may follow `**` */
    if (kind == SEGMENT_LITERAL &&
        (slice_find_char(text, '*') >= 0 || slice_find_char(text, '{') >= 0 || slice_find_char(text, '}') >= 0))
        return false;
    t->segments[t->count].kind = kind;
    t->segments[t->count++].text = text;
    return true;
}

/* What stands between the braces: a name, or "name=pattern". */
static bool add_variable(Template *t, Slice inside)
{
    Slice field, pattern, segment;
    Variable *v;

    if (!slice_cut(inside, '=', &field, &pattern))
        pattern = SLICE_LIT("*");
    if (t->variable_count == ROUTES_MAX_VARIABLES || field.len == 0 || pattern.len == 0)
        return false;
    v = &t->variables[t->variable_count++];
    *v = (Variable){.field = field, .first = t->count};
    for (bool more = true; more;) {
        more = slice_cut(pattern, '/', &segment, &pattern);
        if (segment.len == 0 || !add_segment(t, segment))
            return false;
    }
    v->last = t->segments[t->count - 1].kind == SEGMENT_REST ? TO_THE_END : t->count - 1;
    return true;
}

/* A suffix such as ":cancel" or ".ics" behind a variable; behind a literal it is just part of that. */
static bool parse_template(Slice path, Template *t)
{
    *t = (Template){.count = 0};
    if (path.len == 0 || path.ptr[0] != '/')
        return false;
    path = slice_skip(path, 1);
    for (bool more = true; more;) {
        if (path.len && path.ptr[0] == '{') {
            ptrdiff_t end = slice_find_char(path, '}');

            if (end < 0 || t->suffix.len || !add_variable(t, slice_of(path.ptr + 1, (size_t)end - 1)))
                return false;
            more = slice_cut(slice_skip(path, (size_t)end + 1), '/', &t->suffix, &path);
        } else {
            Slice text;

            if (t->suffix.len)
                return false;
            more = slice_cut(path, '/', &text, &path);
            if (text.len > 1 && text.ptr[0] == '*' && text.ptr[1] != '*') {
                t->suffix = slice_skip(text, 1);
                text = slice_take(text, 1);
            } else if (text.len > 2 && text.ptr[0] == '*') {
                t->suffix = slice_skip(text, 2);
                text = slice_take(text, 2);
            }
            if (!add_segment(t, text))
                return false;
        }
        if (t->suffix.len && more)
            return false; /* only the last segment has one */
    }
    return true;
}

/* --- building -------------------------------------------------------------------------------------------------------
 */
static void push(Arena *mem, void *list, size_t *count, size_t *cap, size_t at, void *item)
{
    void **items = *(void ***)list;

    if (*count == *cap) {
        size_t more = *cap ? *cap * 2 : 4;

        items = arena_grow(mem, items, *cap * sizeof(void *), more * sizeof(void *));
        *cap = more;
        *(void ***)list = items;
    }
    memmove(items + at + 1, items + at, (*count - at) * sizeof(void *));
    items[at] = item;
    ++*count;
}

static int compare_keys(Slice a, Slice b)
{
    int order = memcmp(a.ptr, b.ptr, MIN(a.len, b.len));

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where `key` stands, or would. */
static bool find_literal(const Node *node, Slice key, size_t *at)
{
    size_t low = 0, high = node->literal_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_keys(node->literals[middle]->key, key);

        if (order == 0) {
            *at = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return false;
}

static Node *literal_child(Arena *mem, Node *node, Slice key)
{
    size_t at;
    Node *child;

    if (find_literal(node, key, &at))
        return node->literals[at];
    child = ARENA_NEW(mem, Node);
    child->key = key;
    push(mem, &node->literals, &node->literal_count, &node->literal_cap, at, child);
    return child;
}

static Node *suffixed_child(Arena *mem, Node *node, Slice suffix)
{
    size_t at = 0;
    Node *child;

    while (at < node->suffixed_count && node->suffixed[at]->key.len >= suffix.len) {
        if (slice_eq(node->suffixed[at]->key, suffix))
            return node->suffixed[at];
        at++;
    }
    child = ARENA_NEW(mem, Node);
    child->key = suffix;
    push(mem, &node->suffixed, &node->suffixed_count, &node->suffixed_cap, at, child);
    return child;
}

static Err set_leaf(Leaf **where, Leaf *leaf)
{
    if (*where)
        return err_make(&INVALID_ARGUMENT, "%.50s and %.50s match the same paths", leaf->path, (*where)->path);
    *where = leaf;
    return OK;
}

static Err add_rest(Arena *mem, Node *node, Leaf *leaf)
{
    size_t at = 0;

    while (at < node->rest_count && node->rest[at]->suffix.len >= leaf->suffix.len) {
        if (slice_eq(node->rest[at]->suffix, leaf->suffix))
            return set_leaf(&node->rest[at], leaf);
        at++;
    }
    push(mem, &node->rest, &node->rest_count, &node->rest_cap, at, leaf);
    return OK;
}

static Node *method_root(RouteTree *tree, Slice method)
{
    size_t i = 0;

    while (i < tree->method_count && !slice_eq(tree->methods[i].method, method))
        i++;
    if (i == ROUTES_MAX_METHODS)
        return NULL;
    if (i == tree->method_count) {
        tree->methods[i].method = method;
        tree->methods[i].root = ARENA_NEW(tree->mem, Node);
        tree->method_count++;
    }
    return tree->methods[i].root;
}

Err routes_add(RouteTree *tree, const char *method, const char *path, const void *target)
{
    Arena *mem = tree->mem;
    Template t;
    Leaf *leaf = ARENA_NEW(mem, Leaf);
    Node *node = method_root(tree, slice(arena_strdup(mem, method)));

    leaf->path = arena_strdup(mem, path);
    if (!node)
        return err_make(&INVALID_ARGUMENT, "%.60s: more than %d methods", path, ROUTES_MAX_METHODS);
    if (!parse_template(slice(leaf->path), &t))
        return err_make(&INVALID_ARGUMENT, "%.80s: not a path template", path);
    leaf->target = target;
    leaf->suffix = t.suffix;
    leaf->variable_count = t.variable_count;
    memcpy(leaf->variables, t.variables, sizeof(leaf->variables));
    for (size_t i = 0; i < t.count; i++) {
        bool last = i + 1 == t.count;

        if (t.segments[i].kind == SEGMENT_REST)
            return add_rest(mem, node, leaf);
        if (t.segments[i].kind == SEGMENT_LITERAL) {
            node = literal_child(mem, node, t.segments[i].text);
        } else if (last && t.suffix.len) {
            node = suffixed_child(mem, node, t.suffix);
        } else {
            if (!node->variable)
                node->variable = ARENA_NEW(mem, Node);
            node = node->variable;
        }
    }
    return set_leaf(&node->leaf, leaf);
}

/* --- matching ---------------------------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool percent_decode(Arena *mem, Slice raw, bool plus_is_space, Slice *out)
{
    char *text;
    size_t len = 0;
    bool plain = true;

    for (size_t i = 0; i < raw.len && plain; i++)
        plain = raw.ptr[i] != '%' && raw.ptr[i] != '\0' && (unsigned char)raw.ptr[i] < 0x80 &&
                !(plus_is_space && raw.ptr[i] == '+');
    if (plain) {
        *out = raw;
        return true;
    }
    text = arena_alloc_raw(mem, raw.len, 1);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];

        if (c == '%') {
            bool whole = raw.len - i > 2;
            int high = whole ? hex_digit(raw.ptr[i + 1]) : -1, low = whole ? hex_digit(raw.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus_is_space && c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return false;
        text[len++] = c;
    }
    *out = slice_of(text, len);
    return utf8_valid(*out);
}

bool routes_split(Arena *mem, Slice raw, RoutePath *out)
{
    Slice segment;

    out->count = 0;
    out->too_long = false;
    if (raw.len == 0 || raw.ptr[0] != '/') /* "*", "http://…": nobody is there */
        return raw.len > 0;
    raw = slice_skip(raw, 1);
    for (bool more = true; more;) {
        more = slice_cut(raw, '/', &segment, &raw);
        if (out->count == ROUTES_MAX_SEGMENTS) {
            out->too_long = true;
            return true;
        }
        if (!percent_decode(mem, segment, false, &out->segments[out->count++]))
            return false;
    }
    return true;
}

static bool suffix_fits(Slice segment, Slice suffix)
{
    return segment.len > suffix.len && slice_ends_with(segment, suffix);
}

/* Depth-first by rank. A path has at most ROUTES_MAX_SEGMENTS segments and a node few alternatives, and only nodes that
 * some template made are visited, so the worst case is the size of the tree. */
static const Leaf *match_node(const Node *node, const RoutePath *path, size_t at)
{
    const Leaf *found = NULL;
    size_t index;

    if (at == path->count)
        return node->leaf;
    if (find_literal(node, path->segments[at], &index))
        found = match_node(node->literals[index], path, at + 1);
    for (size_t i = 0; !found && at + 1 == path->count && i < node->suffixed_count; i++)
        if (suffix_fits(path->segments[at], node->suffixed[i]->key))
            found = node->suffixed[i]->leaf;
    if (!found && node->variable && path->segments[at].len)
        found = match_node(node->variable, path, at + 1);
    for (size_t i = 0; !found && i < node->rest_count; i++)
        if (node->rest[i]->suffix.len == 0 || suffix_fits(path->segments[path->count - 1], node->rest[i]->suffix))
            found = node->rest[i];
    return found;
}

static const Leaf *match_method(const RouteTree *tree, size_t method, const RoutePath *path)
{
    if (path->too_long || path->count == 0)
        return NULL;
    return match_node(tree->methods[method].root, path, 0);
}

static Slice join_segments(Arena *mem, const RoutePath *path, size_t first, size_t last)
{
    StrBuf joined;

    if (first == last)
        return path->segments[first];
    joined = strbuf_new(mem, SIZE_MAX);
    for (size_t i = first; i <= last; i++) {
        if (i > first)
            strbuf_append_char(&joined, '/');
        strbuf_append(&joined, path->segments[i]);
    }
    return strbuf_slice(&joined);
}

bool routes_match(const RouteTree *tree, Arena *mem, Slice method, const RoutePath *path, RouteMatch *out)
{
    const Leaf *leaf = NULL;

    for (size_t i = 0; i < tree->method_count && !leaf; i++)
        if (slice_eq(tree->methods[i].method, method))
            leaf = match_method(tree, i, path);
    if (!leaf)
        return false;
    out->target = leaf->target;
    out->variable_count = leaf->variable_count;
    for (size_t i = 0; i < leaf->variable_count; i++) {
        const Variable *v = &leaf->variables[i];
        size_t last = v->last == TO_THE_END ? path->count - 1 : v->last;
        Slice value = join_segments(mem, path, v->first, last);

        if (last == path->count - 1 && leaf->suffix.len)
            value.len -= leaf->suffix.len;
        out->variables[i] = (RouteVariable){.field = v->field, .value = value};
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *routes_allow(const RouteTree *tree, Arena *mem, const RoutePath *path, const void **out_target)
{
    const char *names[ROUTES_MAX_METHODS + 2];
    size_t count = 0;
    StrBuf list = strbuf_new(mem, 256);
    Slice text;

    for (size_t i = 0; i < tree->method_count; i++) {
        const Leaf *leaf = match_method(tree, i, path);

        if (!leaf)
            continue;
        if (out_target && count == 0)
            *out_target = leaf->target;
        names[count++] = tree->methods[i].method.ptr; /* made by arena_strdup: a C string */
        if (slice_eq_cstr(tree->methods[i].method, "GET"))
            names[count++] = "HEAD";
    }
    if (count == 0)
        return NULL;
    names[count++] = "OPTIONS";
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    return strbuf_finish(&list, &text) ? text.ptr : NULL;
}

/* --- near misses -------------------------------------------------------------------------------------------------- */
/* How far the path leads, and to where. */
static const Node *walk(const Node *node, const RoutePath *path, size_t *out_depth)
{
    size_t index;

    for (*out_depth = 0; *out_depth < path->count; ++*out_depth)
        if (find_literal(node, path->segments[*out_depth], &index))
            node = node->literals[index];
        else if (node->variable && path->segments[*out_depth].len)
            node = node->variable;
        else
            break;
    return node;
}

typedef struct Near {
    int (*label)(const void *target);
    const void *target; /* NULL: none yet */
    bool differ;
} Near;

static void look_at_leaf(const Leaf *leaf, Near *near)
{
    if (!leaf)
        return;
    near->differ |= near->target && near->label(near->target) != near->label(leaf->target);
    near->target = leaf->target;
}

/* A tree is as deep as templates are long: ROUTES_MAX_SEGMENTS. */
static void look_below(const Node *node, Near *near)
{
    if (!node || near->differ)
        return;
    look_at_leaf(node->leaf, near);
    for (size_t i = 0; i < node->rest_count; i++)
        look_at_leaf(node->rest[i], near);
    for (size_t i = 0; i < node->literal_count; i++)
        look_below(node->literals[i], near);
    for (size_t i = 0; i < node->suffixed_count; i++)
        look_below(node->suffixed[i], near);
    look_below(node->variable, near);
}

const void *routes_near(const RouteTree *tree, const RoutePath *path, int (*label)(const void *target))
{
    Near near = {.label = label};
    size_t deepest = 1, depth;

    for (size_t i = 0; i < tree->method_count; i++) {
        (void)walk(tree->methods[i].root, path, &depth);
        deepest = MAX(deepest, depth);
    }
    for (size_t i = 0; i < tree->method_count; i++) {
        const Node *node = walk(tree->methods[i].root, path, &depth);

        if (depth == deepest)
            look_below(node, &near);
    }
    return near.differ ? NULL : near.target;
}
