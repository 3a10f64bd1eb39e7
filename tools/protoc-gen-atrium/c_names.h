/* c_names: how protobuf-c and we call things in C. All names are borrowed from `mem`. */
#pragma once
#include "model.h"

/* protobuf-c's type: Auth__V1__LoginRequest. */
const char *c_type(Arena *mem, const Message *m);
/* protobuf-c's functions and descriptor: auth__v1__login_request. */
const char *c_lower(Arena *mem, const Message *m);
/* Ours, by protobuf-c's rule: LoginEnded is login_ended. */
const char *c_snake(Arena *mem, const char *name);
const char *c_upper(Arena *mem, const char *name); /* LOGIN_ENDED */
/* In front of a package's names: "auth_v1". */
const char *c_prefix(Arena *mem, const File *file);
/* "atrium/auth/v1/auth" of "atrium/auth/v1/auth.proto". */
const char *c_stem(Arena *mem, const File *file);
/* A C string literal. */
const char *c_literal(Arena *mem, const char *text);
/* A comment of whole lines at column `indent`; nothing when it is empty. */
void c_comment(StrBuf *b, int indent, const char *text);
