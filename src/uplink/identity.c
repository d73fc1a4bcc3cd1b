/* identity.c - see identity.h. */
#include "uplink/identity.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define FILE_BYTES_MAX 4096

static enum status make_path(const char *dir, char path[PATH_MAX], struct error *err)
{
    int n = snprintf(path, PATH_MAX, "%s/identity.json", dir);
    return n < PATH_MAX ? ST_OK : error_set(err, ST_LIMIT, "the path %.100s... is too long", dir);
}

static bool take(const json_t *o, const char *key, char *ret, size_t size_bytes)
{
    const char *text = json_string_value(json_object_get(o, key));
    if (!text || strlen(text) >= size_bytes)
        return false;
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

/* It goes into the paths of requests. */
static bool camera_is_valid(const char *id)
{
    return *id && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(id);
}

enum status identity_read(const void *text, size_t n, struct identity *ret, struct error *err)
{
    struct identity id = {0};
    json_t *o = json_loadb(text, n, 0, NULL);
    bool whole = take(o, "server", id.server, sizeof id.server) &&
                 take(o, "camera", id.camera, sizeof id.camera) &&
                 take(o, "token", id.token, sizeof id.token) &&
                 take(o, "pin", id.pin, sizeof id.pin) && secret_token_valid(id.token) &&
                 camera_is_valid(id.camera);
    json_decref(o);
    if (!whole)
        return error_set(err, ST_FORMAT, "it is damaged; enrol this camera again");
    *ret = id;
    return ST_OK;
}

char *identity_text(const struct identity *id)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "server", id->server, "camera", id->camera, "token",
                          id->token, "pin", id->pin);
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    json_decref(o);
    return text;
}

enum status identity_load(const char *dir, struct identity *ret, struct error *err)
{
    char path[PATH_MAX];
    struct buf text;
    struct stat at;
    buf_init(&text);
    enum status st = make_path(dir, path, err);
    if (st == ST_OK)
        st = file_read(path, FILE_BYTES_MAX, &text, err);
    if (st == ST_OK && stat(path, &at) == 0 && (at.st_mode & 077))
        st = error_set(err, ST_DENIED, "others can read %s, which holds a secret: chmod 600 it",
                       path);
    if (st == ST_OK && identity_read(text.data, text.size_bytes, ret, err) != ST_OK)
        st = error_prefix(err, "%.200s: ", path);
    buf_clear(&text);
    return st;
}

enum status identity_save(const char *dir, const struct identity *id, struct error *err)
{
    char path[PATH_MAX];
    enum status st = make_path(dir, path, err);
    if (st == ST_OK)
        st = file_mkdirs(dir, err);
    if (st != ST_OK)
        return st;
    char *text = identity_text(id);
    if (!text)
        return error_set(err, ST_NOMEM, "no memory for %s", path);
    st = file_write_for_owner(path, text, strlen(text), err);
    free(text);
    return st;
}
