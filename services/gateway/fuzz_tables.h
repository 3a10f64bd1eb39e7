/* fuzz_tables: for fuzz targets, the tables of the features' proto. */
#pragma once
#include <stdio.h>

#include "services/gateway/tables.h"

static inline Tables *fuzz_tables(void)
{
    static char bytes[1 << 20];
    FILE *file = fopen(FUZZ_TABLES, "re");
    Tables *t = NULL;
    size_t len;

    if (!file)
        abort();
    len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    if (err_failed(tables_load(slice_of(bytes, len), "main", "", &t)))
        abort();
    return t;
}
