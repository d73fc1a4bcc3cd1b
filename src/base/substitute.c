#include "base/substitute.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define NAME_BYTES 256

const char *environment_find(const char *const *environment, const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; environment && environment[i]; i++)
        if (strncmp(environment[i], name, n) == 0 && environment[i][n] == '=')
            return environment[i] + n + 1;
    return NULL;
}

struct output {
    char *text;
    size_t size, used;
};

static enum status put(struct output *o, const char *text, size_t n, const char *name,
                       struct error *err)
{
    if (n >= o->size - o->used)
        return error_set(err, ST_LIMIT, "with %s the value is longer than %zu bytes; shorten it",
                         name, o->size - 1);
    memcpy(o->text + o->used, text, n);
    o->used += n;
    o->text[o->used] = '\0';
    return ST_OK;
}

static enum status put_variable(struct output *o, const struct substitutes *from, const char *name,
                                const char *shown, struct error *err)
{
    const char *value = environment_find(from->environment, name);
    if (!value)
        return error_set(err, ST_NOT_FOUND, "the environment has no variable %s; set it, or %s",
                         name, "write the value here");
    return put(o, value, strlen(value), shown, err);
}

static enum status put_file(struct output *o, const struct substitutes *from, const char *path,
                            const char *shown, struct error *err)
{
    struct stat is;
    if (!from->files || stat(path, &is) != 0 || !S_ISREG(is.st_mode))
        return error_set(err, ST_NOT_FOUND, "there is no file %s; write the secret into it", path);
    struct buf b;
    buf_init(&b);
    enum status st = file_read(path, o->size, &b, err);
    size_t n = b.size_bytes;
    if (st == ST_OK && n > 0 && b.data[n - 1] == '\n')
        n -= n > 1 && b.data[n - 2] == '\r' ? 2 : 1;
    if (st == ST_OK && n > 0 && memchr(b.data, '\0', n))
        st = error_set(err, ST_INVALID, "%s holds a zero byte; write plain text into it", path);
    if (st == ST_OK && n > 0)
        st = put(o, (const char *)b.data, n, shown, err);
    buf_clear(&b);
    return st;
}

/* at: behind "${". *ret_end: behind the brace. */
static enum status put_named(struct output *o, const struct substitutes *from, const char *at,
                             const char **ret_end, struct error *err)
{
    char name[NAME_BYTES], shown[NAME_BYTES + 4];
    const char *end = strchr(at, '}');
    if (!end || (size_t)(end - at) >= sizeof name)
        return error_set(err, ST_INVALID,
                         "'${' has no '}' within %d characters; close it, or "
                         "write $${ for the characters themselves",
                         NAME_BYTES);
    snprintf(name, sizeof name, "%.*s", (int)(end - at), at);
    snprintf(shown, sizeof shown, "${%s}", name);
    *ret_end = end + 1;
    if (strncmp(name, "env:", 4) == 0 && name[4])
        return put_variable(o, from, name + 4, shown, err);
    if (strncmp(name, "file:", 5) == 0 && name[5])
        return put_file(o, from, name + 5, shown, err);
    return error_set(err, ST_INVALID,
                     "'%.80s' is unknown; write ${env:NAME} or ${file:PATH}, or "
                     "$${ for the characters ${",
                     shown);
}

enum status substitute(const char *text, const struct substitutes *from, char *ret, size_t size,
                       bool *ret_secret, struct error *err)
{
    struct output o = {ret, size, 0};
    enum status st = put(&o, "", 0, "it", err);
    *ret_secret = false;
    while (st == ST_OK && *text) {
        if (strncmp(text, "$${", 3) == 0) {
            st = put(&o, "${", 2, "it", err);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            *ret_secret = true;
            st = put_named(&o, from, text + 2, &text, err);
        } else {
            size_t n = strcspn(text + 1, "$") + 1;
            st = put(&o, text, n, "it", err);
            text += n;
        }
    }
    return st;
}
