/* answers: accounts and tokens as the profile's contract wants to see them. Everything is borrowed from rq->mem. */
#pragma once
#include "services/auth/tokens.h"

void answer_user(Request *rq, const Account *account, Auth__V1__User *out);
/* In the manner of a route, whatever the profile. */
void answer_user_in(Request *rq, Manner manner, const Account *account, Auth__V1__User *out);
void answer_tokens(Request *rq, const Tokens *tokens, const Account *account, Auth__V1__AuthResult *out);
/* A copy in the form that messages have. */
char **answer_words(Arena *mem, const char *const *words, size_t count);
Auth__V1__LoginInfo *answer_login(Request *rq, const LoginRow *row);
