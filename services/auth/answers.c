/* answers: accounts and tokens as the profile's contract wants to see them. */
#include "services/auth/answers.h"

#include "services/auth/events.h"

static char *text_or_absent(Arena *mem, const char *text)
{
    return text && text[0] ? arena_strdup(mem, text) : NULL;
}

static void add_chat_fields(Request *rq, const Account *account, Auth__V1__User *out)
{
    out->display_name = arena_strdup(rq->mem, account->display_name);
    out->avatar_hash = text_or_absent(rq->mem, account->avatar_hash);
    out->created_at = timestamp(rq->mem, account->created_us);
}

static void add_sessions_fields(Request *rq, const Account *account, Auth__V1__User *out)
{
    out->email = text_or_absent(rq->mem, account->email);
    out->sessions_full_name = arena_strdup(rq->mem, account->display_name);
    out->role = arena_strdup(rq->mem, role_name(account->role));
    out->provider = arena_strdup(rq->mem, account->provider);
    SET(out, active, account->active);
    out->sessions_created_at = timestamp(rq->mem, account->created_us);
    out->sessions_updated_at = timestamp(rq->mem, account->updated_us);
    if (account->last_login_us != 0)
        out->sessions_last_login = timestamp(rq->mem, account->last_login_us);
}

void answer_user_in(Request *rq, Manner manner, const Account *account, Auth__V1__User *out)
{
    SET(out, id, account->id);
    out->username = arena_strdup(rq->mem, account->username);
    if (manner != MANNER_SESSIONS)
        add_chat_fields(rq, account, out);
    if (manner != MANNER_CHAT)
        add_sessions_fields(rq, account, out);
}

void answer_user(Request *rq, const Account *account, Auth__V1__User *out)
{
    answer_user_in(rq, manner_of(rq), account, out);
}

void answer_tokens(Request *rq, const Tokens *tokens, const Account *account, Auth__V1__AuthResult *out)
{
    out->access_token = text_or_absent(rq->mem, tokens->access_token);
    out->refresh_token = text_or_absent(rq->mem, tokens->refresh_token);
    out->token = text_or_absent(rq->mem, tokens->token);
    if (tokens->token)
        out->token_expires_at = timestamp(rq->mem, tokens->token_expires_us);
    out->user = MESSAGE_NEW(rq->mem, Auth__V1__User, auth__v1__user__init);
    answer_user(rq, account, out->user);
}

char **answer_words(Arena *mem, const char *const *words, size_t count)
{
    char **copy = ARENA_ARRAY(mem, char *, count + 1);

    for (size_t i = 0; i < count; i++)
        copy[i] = arena_strdup(mem, words[i]);
    return copy;
}

Auth__V1__LoginInfo *answer_login(Request *rq, const LoginRow *row)
{
    Auth__V1__LoginInfo *info = MESSAGE_NEW(rq->mem, Auth__V1__LoginInfo, auth__v1__login_info__init);

    info->id = uuid_text(rq->mem, row->id);
    info->user_agent = arena_strdup(rq->mem, row->user_agent);
    info->address = arena_strdup(rq->mem, row->address);
    info->created_at = timestamp(rq->mem, row->created_us);
    info->last_used_at = timestamp(rq->mem, row->last_used_us);
    info->expires_at = timestamp(rq->mem, row->expires_us);
    SET(info, current, slice_eq(slice(info->id), slice(rq->caller.login_id)));
    return info;
}
