/* atrium bus setup: the streams of all domains, made and changed by the operator alone (shared/streams.h says why). */
#include "atrium/reasons.atrium.h"
#include "shared/streams.h"
#include "tools/atrium/tool.h"

/* The server may be starting beside us, as in a compose file. */
enum { WAIT_MS = 30000 };

static Err set_up_domain(Bus *bus, const Atrium__DomainRow *domain, bool quiet, int *changed_count)
{
    for (StreamKind kind = 0; kind < STREAM_KIND_COUNT; kind++) {
        char name[STREAM_NAME_BYTES];
        bool changed = false;

        TRY(stream_set_up(bus, kind, domain->name, domain->event_retention_s, &changed));
        if (!changed)
            continue;
        (*changed_count)++;
        stream_name(kind, domain->name, name);
        if (!quiet)
            printf("  %s\n", name);
    }
    return OK;
}

static Err set_up_all(Tool *tool, bool quiet)
{
    CLEANUP(bus_close_at) Bus *bus = NULL;
    const Atrium__Tables *tables;
    int changed = 0;

    TRY(tool_tables(tool, &tables));
    TRY(tool_connect_within(tool, WAIT_MS, &bus));
    for (size_t i = 0; i < tables->n_domains; i++) {
        if (!tables->domains[i]->name || !tables->domains[i]->has_event_retention_s)
            return err_make(&INTERNAL, "GATEWAY_TABLES is of an older release");
        TRY(set_up_domain(bus, tables->domains[i], quiet, &changed));
    }
    if (!quiet || changed)
        printf("  %d stream%s made or changed\n", changed, changed == 1 ? "" : "s");
    return OK;
}

int bus_setup_command(Tool *tool)
{
    bool quiet = tool_flag(tool, "--quiet");
    Err e;

    if (!tool_done(tool))
        return TOOL_WRONG_USE;
    e = set_up_all(tool, quiet);
    return err_failed(e) ? tool_failed(tool, e) : TOOL_FINE;
}
