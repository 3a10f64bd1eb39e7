/* product: the files that a run writes, and one function for each kind of them. */
#pragma once
#include "model.h"

typedef struct Product {
    const char *name;
    Slice content;
} Product;

typedef struct Products {
    Arena *mem;
    Product *list;
    size_t count, room;
} Products;

enum { PRODUCT_MAX_BYTES = 64 * 1024 * 1024 };

StrBuf product_begin(const Products *p);
/* Aborts when `content` did not fit. */
void product_end(Products *p, const char *name, StrBuf *content);

/* check.c: notes what is wrong with single files, and with all of them together. */
void check_files(Model *m);
void check_platform(Model *m);

/* For services: <stem>.atrium.{h,c} and <stem>.service.{h,c}. */
void emit_c(const Model *m, Products *out);
/* For the gateway. */
void emit_tables(const Model *m, Products *out);
/* For people and tools. */
void emit_openapi(const Model *m, Products *out);
void emit_asyncapi(const Model *m, Products *out);
void emit_callers(const Model *m, Products *out);
/* For nats-server. */
void emit_permissions(const Model *m, Products *out);
