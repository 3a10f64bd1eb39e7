/* smtp: see smtp.h. */
#include "services/auth/smtp.h"

#include <curl/curl.h>

enum { CONNECT_TIMEOUT_MS = 10000, SEND_TIMEOUT_MS = 30000 };

typedef struct Upload {
    Slice left;
    const atomic_bool *cancel;
} Upload;

static size_t read_message(char *into, size_t size, size_t count, void *data)
{
    Upload *upload = data;
    size_t len = MIN(size * count, upload->left.len);

    memcpy(into, upload->left.ptr, len);
    upload->left = slice_skip(upload->left, len);
    return len;
}

static int check_cancel(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const Upload *upload = data;
    (void)a, (void)b, (void)c, (void)d;

    return atomic_load(upload->cancel);
}

static void set_server(CURL *curl, const AuthSettings *s, Arena *mem)
{
    bool is_v6 = strchr(s->smtp_host, ':') != NULL, is_tls = strcmp(s->smtp_tls, "tls") == 0;

    curl_easy_setopt(curl, CURLOPT_URL,
                     arena_printf(mem, "%s://%s%s%s:%d", is_tls ? "smtps" : "smtp", is_v6 ? "[" : "", s->smtp_host,
                                  is_v6 ? "]" : "", (int)s->smtp_port));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     (long)(strcmp(s->smtp_tls, "starttls") == 0 ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (s->smtp_ca_file[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->smtp_ca_file);
    if (s->smtp_user[0]) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, s->smtp_user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, s->smtp_password);
    }
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)SEND_TIMEOUT_MS);
}

static void set_mail(CURL *curl, const char *from, const struct curl_slist *to, Upload *upload)
{
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(curl, CURLOPT_READDATA, upload);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_cancel);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, upload);
}

Err smtp_send(const AuthSettings *settings, Arena *mem, const char *to, Slice message, const atomic_bool *cancel)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *recipients = curl_slist_append(NULL, arena_printf(mem, "<%s>", to));
    Upload upload = {.left = message, .cancel = cancel};
    char detail[CURL_ERROR_SIZE] = "";
    CURLcode code;

    if (!curl || !recipients)
        abort(); /* out of memory */
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    set_server(curl, settings, mem);
    set_mail(curl, arena_printf(mem, "<%s>", settings->smtp_from), recipients, &upload);
    code = curl_easy_perform(curl);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK)
        return OK;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_make(&CANCELLED, "stopping");
    return err_make(&UNAVAILABLE, "%s", detail[0] ? detail : curl_easy_strerror(code));
}
