/* admin_places: places and organisations as administrators see and change them (contract 12). */
#include "services/events/admin_events.h"
#include "services/events/audit.h"
#include "services/events/reading.h"
#include "services/events/rerender.h"
#include "services/events/store_admin.h"
#include "services/events/text.h"
#include "services/events/urls.h"

enum { DOCUMENT_MAX_BYTES = NODE_MAX_BYTES + 64 * 1024 };

/* ---------------------------------------------------------------------------------------------------- seeing */
static const char *lifecycle_of(const AdminEntityRow *row)
{
    return row->merged ? "merged" : row->deleted_us ? "deleted" : "active";
}

static char *member(Arena *mem, const Node *node, TermId term)
{
    Slice text = node ? node_text(node, term) : SLICE_LIT("");

    return text.len ? slice_cstr(mem, text) : NULL;
}

static Err find(Request *rq, EntityKind kind, const char *id, AdminEntityRow *row, Node **node)
{
    Uuid entity;

    TRY(ulid_of_path(rq, id, &entity));
    TRY(events_store_admin_entity(rq, kind, entity, row));
    if (uuid_is_nil(row->id))
        return err_make(&NOT_FOUND, "there is no such %s", entity_word(kind));
    if (!node_read(rq->mem, row->doc, node))
        return err_make(&INTERNAL, "a stored document cannot be read");
    return OK;
}

Err events_v1_admin_get_place(Request *rq, const Events__V1__AdminEntityId *in, Events__V1__AdminPlace *out)
{
    const Node *address, *geo;
    AdminEntityRow row;
    Node *node;

    TRY(find(rq, ENTITY_PLACE, in->id, &row, &node));
    address = node_node(node, TERM_ADDRESS);
    geo = node_node(node, TERM_GEO);
    out->ulid = ulid_text(rq->mem, row.id);
    out->name = member(rq->mem, node, TERM_NAME);
    out->description = member(rq->mem, node, TERM_DESCRIPTION);
    out->street_address = member(rq->mem, address, TERM_STREET_ADDRESS);
    out->city = member(rq->mem, address, TERM_ADDRESS_LOCALITY);
    out->region = member(rq->mem, address, TERM_ADDRESS_REGION);
    out->postal_code = member(rq->mem, address, TERM_POSTAL_CODE);
    out->country = member(rq->mem, address, TERM_ADDRESS_COUNTRY);
    if (geo && node_get(geo, TERM_LATITUDE) && node_get(geo, TERM_LONGITUDE)) {
        SET(out, latitude, node_number(geo, TERM_LATITUDE));
        SET(out, longitude, node_number(geo, TERM_LONGITUDE));
    }
    out->telephone = member(rq->mem, node, TERM_TELEPHONE);
    out->email = member(rq->mem, node, TERM_EMAIL);
    out->url = member(rq->mem, node, TERM_URL);
    out->lifecycle = arena_strdup(rq->mem, lifecycle_of(&row));
    out->created_at = timestamp_of(rq->mem, row.created_us);
    out->updated_at = timestamp_of(rq->mem, row.updated_us);
    SET(out, version, row.version);
    request_set_header(rq, "ETag", etag_make(rq->mem, row.version, "", "admin"));
    return OK;
}

Err events_v1_admin_get_organization(Request *rq, const Events__V1__AdminEntityId *in,
                                     Events__V1__AdminOrganization *out)
{
    const Node *address;
    AdminEntityRow row;
    Node *node;

    TRY(find(rq, ENTITY_ORGANIZATION, in->id, &row, &node));
    address = node_node(node, TERM_ADDRESS);
    out->ulid = ulid_text(rq->mem, row.id);
    out->name = member(rq->mem, node, TERM_NAME);
    out->legal_name = member(rq->mem, node, TERM_LEGAL_NAME);
    out->description = member(rq->mem, node, TERM_DESCRIPTION);
    out->street_address = member(rq->mem, address, TERM_STREET_ADDRESS);
    out->address_locality = member(rq->mem, address, TERM_ADDRESS_LOCALITY);
    out->address_region = member(rq->mem, address, TERM_ADDRESS_REGION);
    out->postal_code = member(rq->mem, address, TERM_POSTAL_CODE);
    out->address_country = member(rq->mem, address, TERM_ADDRESS_COUNTRY);
    out->telephone = member(rq->mem, node, TERM_TELEPHONE);
    out->email = member(rq->mem, node, TERM_EMAIL);
    out->url = member(rq->mem, node, TERM_URL);
    out->lifecycle = arena_strdup(rq->mem, lifecycle_of(&row));
    out->created_at = timestamp_of(rq->mem, row.created_us);
    out->updated_at = timestamp_of(rq->mem, row.updated_us);
    SET(out, version, row.version);
    request_set_header(rq, "ETag", etag_make(rq->mem, row.version, "", "admin"));
    return OK;
}

static Err answer_similar(Request *rq, EntityKind kind, const char *id, Events__V1__SimilarReply *out)
{
    SimilarRow *rows;
    size_t count;
    Uuid entity;

    TRY(ulid_of_path(rq, id, &entity));
    TRY(events_store_similar(rq, kind, entity, &rows, &count));
    out->items = ARENA_ARRAY(rq->mem, Events__V1__SimilarItem *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Events__V1__SimilarItem *item = MESSAGE_NEW(rq->mem, Events__V1__SimilarItem, events__v1__similar_item__init);

        item->ulid = ulid_text(rq->mem, rows[i].id);
        item->name = arena_strdup(rq->mem, rows[i].name);
        SET(item, similarity, rows[i].similarity);
        out->items[out->n_items++] = item;
    }
    return OK;
}

Err events_v1_similar_places(Request *rq, const Events__V1__AdminEntityId *in, Events__V1__SimilarReply *out)
{
    return answer_similar(rq, ENTITY_PLACE, in->id, out);
}

Err events_v1_similar_organizations(Request *rq, const Events__V1__AdminEntityId *in, Events__V1__SimilarReply *out)
{
    return answer_similar(rq, ENTITY_ORGANIZATION, in->id, out);
}

/* ---------------------------------------------------------------------------------------------------- changing */
typedef enum Shape { LINE, PARAGRAPHS, ADDRESS_URL } Shape;

/* A member that a body may change. */
typedef struct Change {
    const char *field, *value; /* NULL: as it is */
    TermId term;
    bool in_address;
    Shape shape;
    Slice clean; /* of `value` */
} Change;

static bool clears(const Google__Protobuf__FieldMask *mask, const char *field)
{
    for (size_t i = 0; mask && i < mask->n_paths; i++)
        if (strcmp(mask->paths[i], field) == 0)
            return true;
    return false;
}

static void check_change(Request *rq, Change *c)
{
    size_t max = TERMS[c->term].max_chars;

    if (!c->value)
        return;
    if (c->shape == ADDRESS_URL && c->value[0]) {
        const char *url = url_clean(rq->mem, slice(c->value));

        if (!url)
            request_add_violation(rq, ATRIUM__PART__BODY, c->field, "url", "an http(s) address");
        c->clean = slice(url);
        return;
    }
    c->clean = text_clean(rq->mem, slice(c->value), c->shape == PARAGRAPHS ? TEXT_PARAGRAPHS : TEXT_LINE);
    if (utf8_length(c->clean) > max)
        request_add_violation(rq, ATRIUM__PART__BODY, c->field, "too_long", "at most %zu characters", max);
    if (c->term == TERM_NAME && c->clean.len == 0)
        request_add_violation(rq, ATRIUM__PART__BODY, c->field, "missing", "a name");
}

static Err check_changes(Request *rq, Change *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_change(rq, &list[i]);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "it cannot be changed so") : OK;
}

/* Text members of a node, in one of its own. */
static Node *copy_texts(Arena *mem, const Node *node, ClassId type)
{
    Node *copy = node_new(mem, type, SLICE_LIT(""));

    for (size_t i = 0; node && i < node->count; i++)
        node_add_text(mem, copy, node->properties[i].term->id, node->properties[i].values[0].text);
    return copy;
}

static void apply_changes(Arena *mem, Node *node, const Change *list, size_t count,
                          const Google__Protobuf__FieldMask *cleared)
{
    Node *address = copy_texts(mem, node_node(node, TERM_ADDRESS), CLASS_POSTAL_ADDRESS);

    for (size_t i = 0; i < count; i++) {
        Node *at = list[i].in_address ? address : node;

        if (list[i].value || clears(cleared, list[i].field))
            node_clear(at, list[i].term);
        if (list[i].value)
            node_add_text(mem, at, list[i].term, list[i].clean);
    }
    node_clear(node, TERM_ADDRESS);
    if (address->count)
        node_add_node(mem, node, TERM_ADDRESS, address);
}

/* As readers get it. */
static Err answer_document(Request *rq, EntityKind kind, const char *id, Atrium__HttpBody *out)
{
    const Events *events = rq->service;
    StrBuf text = strbuf_new(rq->mem, DOCUMENT_MAX_BYTES);
    Document document;

    TRY(document_find(rq, kind, id, &document));
    document_write(&text, events, &document, document_context(events, &document), SLICE_LIT(""));
    request_set_header(rq, "ETag", document_etag(rq->mem, &document, "json"));
    return answer_body(&text, "application/json", out);
}

static bool in_range(double value, double most)
{
    return value >= -most && value <= most;
}

static void check_point(Request *rq, const Events__V1__AdminUpdatePlaceRequest *in)
{
    if (in->has_latitude != in->has_longitude)
        request_add_violation(rq, ATRIUM__PART__BODY, in->has_latitude ? "longitude" : "latitude", "missing",
                              "latitude and longitude go together");
    if (in->has_latitude && !in_range(in->latitude, 90))
        request_add_violation(rq, ATRIUM__PART__BODY, "latitude", "out_of_range", "-90 to 90");
    if (in->has_longitude && !in_range(in->longitude, 180))
        request_add_violation(rq, ATRIUM__PART__BODY, "longitude", "out_of_range", "-180 to 180");
}

static void apply_point(Arena *mem, Node *node, const Events__V1__AdminUpdatePlaceRequest *in)
{
    Node *geo;

    if (clears(in->cleared, "latitude") || clears(in->cleared, "longitude") || in->has_latitude)
        node_clear(node, TERM_GEO);
    if (!in->has_latitude)
        return;
    geo = node_new(mem, CLASS_GEO_COORDINATES, SLICE_LIT(""));
    node_add_number(mem, geo, TERM_LATITUDE, in->latitude);
    node_add_number(mem, geo, TERM_LONGITUDE, in->longitude);
    node_add_node(mem, node, TERM_GEO, geo);
}

/* A place or an organisation, locked for a change. */
typedef struct Held {
    EntityKind kind;
    PlaceEntity place; /* by kind, one of the two */
    OrganizationEntity organization;
    EntityHead *head;
} Held;

static Err load_held(const EntityWriter *w, EntityKind kind, Uuid id, Held *out)
{
    bool is_place = kind == ENTITY_PLACE;

    *out = (Held){.kind = kind, .head = is_place ? &out->place.head : &out->organization.head};
    return is_place ? place_load(w, id, &out->place) : organization_load(w, id, &out->organization);
}

/* `action` is "place.updated" and the like: in the history and in the audit. */
static Err save_held(Request *rq, const EntityWriter *w, Held *held, const char *action, Slice before,
                     const Node *after)
{
    TRY(held->kind == ENTITY_PLACE ? place_save(w, &held->place, action, NULL)
                                   : organization_save(w, &held->organization, action, NULL));
    return audit_note(rq, w->tx,
                      &(AuditNote){.action = action,
                                   .kind = held->kind,
                                   .target = held->head->id,
                                   .before = before,
                                   .after = after ? node_text_of(rq->mem, after) : SLICE_LIT("")});
}

typedef struct Edit {
    EntityKind kind;
    const char *id, *action;
    Change *changes;
    size_t change_count;
    const Google__Protobuf__FieldMask *cleared;
    const Events__V1__AdminUpdatePlaceRequest *point; /* NULL: it has none */
    bool has_version;
    int64_t version;
} Edit;

static Err update_entity(Request *rq, const Edit *edit, Atrium__HttpBody *out)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    EntityWriter w;
    Slice before;
    Held held;
    Uuid id;

    TRY(ulid_of_path(rq, edit->id, &id));
    if (edit->point)
        check_point(rq, edit->point);
    TRY(check_changes(rq, edit->changes, edit->change_count));
    TRY(db_tx_begin(rq, &tx));
    w = entity_writer(rq, &tx);
    TRY(load_held(&w, edit->kind, id, &held));
    if (held.head->deleted_us)
        return err_make(&GONE, "it is not there any more");
    TRY(version_check(rq, edit->has_version, edit->version, held.head->version));
    before = node_text_of(rq->mem, held.head->node);
    apply_changes(rq->mem, held.head->node, edit->changes, edit->change_count, edit->cleared);
    if (edit->point)
        apply_point(rq->mem, held.head->node, edit->point);
    TRY(save_held(rq, &w, &held, edit->action, before, held.head->node));
    TRY(db_tx_commit(&tx));
    rerender_at_once(rq, id);
    entity_settled(rq->service);
    return answer_document(rq, edit->kind, edit->id, out);
}

Err events_v1_admin_update_place(Request *rq, const Events__V1__AdminUpdatePlaceRequest *in, Atrium__HttpBody *out)
{
    Change changes[] = {
        {.field = "name", .value = in->name, .term = TERM_NAME},
        {.field = "description", .value = in->description, .term = TERM_DESCRIPTION, .shape = PARAGRAPHS},
        {.field = "street_address", .value = in->street_address, .term = TERM_STREET_ADDRESS, .in_address = true},
        {.field = "city", .value = in->city, .term = TERM_ADDRESS_LOCALITY, .in_address = true},
        {.field = "region", .value = in->region, .term = TERM_ADDRESS_REGION, .in_address = true},
        {.field = "postal_code", .value = in->postal_code, .term = TERM_POSTAL_CODE, .in_address = true},
        {.field = "country", .value = in->country, .term = TERM_ADDRESS_COUNTRY, .in_address = true},
        {.field = "telephone", .value = in->telephone, .term = TERM_TELEPHONE},
        {.field = "email", .value = in->email, .term = TERM_EMAIL},
        {.field = "url", .value = in->url, .term = TERM_URL, .shape = ADDRESS_URL},
    };

    return update_entity(rq,
                         &(Edit){.kind = ENTITY_PLACE,
                                 .id = in->id,
                                 .action = "place.updated",
                                 .changes = changes,
                                 .change_count = ARRAY_LEN(changes),
                                 .cleared = in->cleared,
                                 .point = in,
                                 .has_version = in->has_version,
                                 .version = in->version},
                         out);
}

Err events_v1_admin_update_organization(Request *rq, const Events__V1__AdminUpdateOrganizationRequest *in,
                                        Atrium__HttpBody *out)
{
    Change changes[] = {
        {.field = "name", .value = in->name, .term = TERM_NAME},
        {.field = "legal_name", .value = in->legal_name, .term = TERM_LEGAL_NAME},
        {.field = "description", .value = in->description, .term = TERM_DESCRIPTION, .shape = PARAGRAPHS},
        {.field = "street_address", .value = in->street_address, .term = TERM_STREET_ADDRESS, .in_address = true},
        {.field = "address_locality", .value = in->address_locality, .term = TERM_ADDRESS_LOCALITY, .in_address = true},
        {.field = "address_region", .value = in->address_region, .term = TERM_ADDRESS_REGION, .in_address = true},
        {.field = "postal_code", .value = in->postal_code, .term = TERM_POSTAL_CODE, .in_address = true},
        {.field = "address_country", .value = in->address_country, .term = TERM_ADDRESS_COUNTRY, .in_address = true},
        {.field = "telephone", .value = in->telephone, .term = TERM_TELEPHONE},
        {.field = "email", .value = in->email, .term = TERM_EMAIL},
        {.field = "url", .value = in->url, .term = TERM_URL, .shape = ADDRESS_URL},
    };

    return update_entity(rq,
                         &(Edit){.kind = ENTITY_ORGANIZATION,
                                 .id = in->id,
                                 .action = "organization.updated",
                                 .changes = changes,
                                 .change_count = ARRAY_LEN(changes),
                                 .cleared = in->cleared,
                                 .has_version = in->has_version,
                                 .version = in->version},
                         out);
}

/* ---------------------------------------------------------------------------------------------------- deleting */
static Err check_unused(DbTx *tx, EntityKind kind, Uuid id, int64_t now_us, bool force)
{
    bool used = false;

    if (!force)
        TRY(events_store_is_used(tx, kind, id, now_us, &used));
    return used ? err_make(&CONFLICT, "events yet to come name this %s; ?force=true deletes it all the same",
                           entity_word(kind))
                : OK;
}

static Err read_reason(Request *rq, const Events__V1__Because *because, const char **out)
{
    *out = because && because->reason ? because->reason : "";
    check_length(rq, "because.reason", *out, REASON_MAX_CHARS);
    return request_has_violations(rq) ? err_make(&INVALID_ARGUMENT, "reason: at most %d characters", REASON_MAX_CHARS)
                                      : OK;
}

static Err delete_entity(Request *rq, EntityKind kind, const char *action, const Events__V1__AdminDeleteRequest *in)
{
    CLEANUP(db_tx_done) DbTx tx = {0};
    const char *reason;
    EntityWriter w;
    Held held;
    Uuid id;

    TRY(ulid_of_path(rq, in->id, &id));
    TRY(read_reason(rq, in->because, &reason));
    TRY(db_tx_begin(rq, &tx));
    w = entity_writer(rq, &tx);
    TRY(load_held(&w, kind, id, &held));
    if (held.head->deleted_us)
        return OK;
    TRY(version_check(rq, false, 0, held.head->version));
    TRY(check_unused(&tx, kind, id, w.now_us, in->force));
    entity_delete(&w, held.head, reason, (Uuid){{0}});
    TRY(save_held(rq, &w, &held, action, node_text_of(rq->mem, held.head->node), NULL));
    TRY(db_tx_commit(&tx));
    entity_settled(rq->service);
    return OK;
}

Err events_v1_admin_delete_place(Request *rq, const Events__V1__AdminDeleteRequest *in, Events__V1__Nothing *out)
{
    (void)out; /* 204 */
    return delete_entity(rq, ENTITY_PLACE, "place.deleted", in);
}

Err events_v1_admin_delete_organization(Request *rq, const Events__V1__AdminDeleteRequest *in, Events__V1__Nothing *out)
{
    (void)out; /* 204 */
    return delete_entity(rq, ENTITY_ORGANIZATION, "organization.deleted", in);
}
