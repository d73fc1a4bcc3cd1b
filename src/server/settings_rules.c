/* settings_rules.c - what must hold between settings, and what is unwise. A rule names the place of
 * the value that it is about: a file's line, a variable, a flag. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cores.h"
#include "base/names.h"
#include "notify/mqtt_address.h"
#include "notify/webhook.h"
#include "server/dividing.h"
#include "server/settings.h"
#include "task/regions.h"
#include "video/mask.h"

#define PLACE_BYTES (SETTINGS_PATH_BYTES + 64)

struct rules {
    const struct settings *set;
    const struct camera_list *cameras;
    struct problems *problems;
};

/* "FILE:LINE:COLUMN: ", "flag --name: " or nothing, for a row of the server's or of a camera's. */
static void place(const struct rules *r, const struct setting_table *t, const void *values, int row,
                  char ret[PLACE_BYTES])
{
    struct setting_origin o = setting_table_origin(t, values, row);
    if (o.from == SETTING_FROM_FILE && o.file < r->set->file_count)
        snprintf(ret, PLACE_BYTES, "%s:%u:%u: ", r->set->files[o.file], o.line, o.column);
    else if (o.from == SETTING_FROM_DEFAULT)
        ret[0] = '\0';
    else
        snprintf(ret, PLACE_BYTES, "%s %s: ", setting_from_name(o.from), t->rows[row].name);
}

/* Of the server's row that was said last of these two, so that the message names what was changed.
 */
static void place_of(const struct rules *r, int a, int b, char ret[PLACE_BYTES])
{
    const struct setting_origin *x = &r->set->origins[a], *y = &r->set->origins[b];
    bool second =
        y->from > x->from ||
        (y->from == x->from && (y->file > x->file || (y->file == x->file && y->line > x->line)));
    place(r, settings_table(), r->set, second ? b : a, ret);
}

static void order(const struct rules *r, int least, double min, int most, double max)
{
    char at[PLACE_BYTES];
    const struct setting *a = &settings_table()->rows[least], *b = &settings_table()->rows[most];
    if (min <= max)
        return;
    place_of(r, least, most, at);
    problems_error(r->problems, "%s%s (%g) is above %s (%g); change one of them", at, a->name, min,
                   b->name, max);
}

static void check_models(const struct rules *r, bool complete)
{
    static const char format[] = "no %s is given; write '%s: FILE.onnx' or add --%s FILE.onnx";
    const char *const names[] = {r->set->student[0] ? NULL : "student",
                                 r->set->teacher[0] ? NULL : "teacher"};
    for (int i = 0; i < 2; i++) {
        if (names[i] && complete)
            problems_error(r->problems, format, names[i], names[i], names[i]);
        else if (names[i])
            problems_warn(r->problems, format, names[i], names[i], names[i]);
    }
}

/* ---- addresses ---- */

static bool is_off(const char *address)
{
    return strcmp(address, "off") == 0;
}

static void check_address(const struct rules *r, int row, const char *address)
{
    char at[PLACE_BYTES], *end;
    const char *colon = strrchr(address, ':');
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    bool good = colon && colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port <= 65535;
    if (good || is_off(address))
        return;
    place(r, settings_table(), r->set, row, at);
    problems_error(r->problems,
                   "%s'%.100s' is no address; %s takes ADDRESS:PORT, as 127.0.0.1:8080, or off", at,
                   address, settings_table()->rows[row].name);
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "localhost:", 10) == 0 ||
           strncmp(address, "[::1]:", 6) == 0;
}

static void check_auth(const struct rules *r)
{
    char at[PLACE_BYTES];
    const struct settings *s = r->set;
    bool local =
        (is_off(s->listen) || is_loopback(s->listen)) && (is_off(s->http) || is_loopback(s->http));
    place(r, settings_table(), s, SETTINGS_ROW_auth, at);
    if (!s->auth && !local)
        problems_error(r->problems,
                       "%swithout auth everybody who reaches the server may do everything; set "
                       "auth to true, or listen and http to loopback (127.0.0.1:PORT) or off",
                       at);
}

static void check_addresses(const struct rules *r)
{
    char at[PLACE_BYTES];
    const struct settings *s = r->set;
    check_address(r, SETTINGS_ROW_listen, s->listen);
    check_address(r, SETTINGS_ROW_http, s->http);
    place_of(r, SETTINGS_ROW_listen, SETTINGS_ROW_http, at);
    const char *port = strrchr(s->http, ':');
    if (is_off(s->listen) && is_off(s->http))
        problems_error(r->problems,
                       "%slisten and http are both off; nobody could connect, give one of them",
                       at);
    else if (strcmp(s->listen, s->http) == 0 && port && strcmp(port, ":0") != 0)
        problems_error(r->problems, "%slisten and http are both %s; give them different ports", at,
                       s->http);
    place(r, settings_table(), s, SETTINGS_ROW_http, at);
    bool open_http = !is_off(s->http) && !is_loopback(s->http);
    if (open_http && s->http_insecure)
        problems_warn(r->problems,
                      "%shttp (%s) is open to the network without encryption; use listen for "
                      "others, and 127.0.0.1:PORT here",
                      at, s->http);
    else if (open_http)
        problems_error(r->problems,
                       "%shttp (%s) would send passwords and pictures in the clear; use listen "
                       "(HTTPS), 127.0.0.1:PORT, or set http_insecure to true",
                       at, s->http);
    check_auth(r);
}

/* ---- other rules of the server ---- */

static void check_cores(const struct rules *r, int row, const char *text)
{
    char at[PLACE_BYTES];
    struct cores cores;
    struct error err;
    if (strcmp(text, "auto") == 0 || cores_parse(text, &cores, &err) == ST_OK)
        return;
    place(r, settings_table(), r->set, row, at);
    problems_error(r->problems, "%s%s; %s takes such a list or auto", at, err.message,
                   settings_table()->rows[row].name);
}

static void check_dividing(const struct rules *r)
{
    char at[PLACE_BYTES];
    struct dividing d;
    struct error err;
    if (dividing_read(r->set, r->cameras, &d, &err) == ST_OK)
        return;
    place_of(r, SETTINGS_ROW_sharing, SETTINGS_ROW_policy, at);
    problems_error(r->problems, "%s%s", at, err.message);
}

static void check_topic(const struct rules *r, int row, const char *text)
{
    char at[PLACE_BYTES];
    if (mqtt_prefix_is_valid(text))
        return;
    place(r, settings_table(), r->set, row, at);
    problems_error(r->problems,
                   "%s'%.60s' is no beginning of a topic; %s takes words of letters, digits, _ - "
                   "and . with / between them, 63 characters at most",
                   at, text, settings_table()->rows[row].name);
}

static void check_client_id(const struct rules *r, const char *text)
{
    char at[PLACE_BYTES];
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (n >= 1 && n <= 63 && !text[n])
        return;
    place(r, settings_table(), r->set, SETTINGS_ROW_mqtt_client_id, at);
    problems_error(r->problems,
                   "%s'%.60s' is no name at a broker; mqtt_client_id takes 1 to 63 "
                   "letters, digits, _ and -",
                   at, text);
}

static void check_broker(const struct rules *r)
{
    char at[PLACE_BYTES];
    struct mqtt_address a;
    struct error err;
    const struct settings *s = r->set;
    place(r, settings_table(), s, SETTINGS_ROW_mqtt, at);
    if (s->mqtt[0] && mqtt_address_read(s->mqtt, &a, &err) != ST_OK)
        problems_error(r->problems, "%s%s; mqtt takes HOST, HOST:PORT or mqtts://HOST:PORT", at,
                       err.message);
    check_topic(r, SETTINGS_ROW_mqtt_prefix, s->mqtt_prefix);
    if (s->mqtt_discovery_prefix[0])
        check_topic(r, SETTINGS_ROW_mqtt_discovery_prefix, s->mqtt_discovery_prefix);
    if (s->mqtt[0])
        check_client_id(r, s->mqtt_client_id);
}

static void check_webhooks(const struct rules *r)
{
    char at[PLACE_BYTES];
    struct error err;
    if (webhook_lists_check(r->set->webhooks, r->set->webhook_events, &err) == ST_OK)
        return;
    place_of(r, SETTINGS_ROW_webhooks, SETTINGS_ROW_webhook_events, at);
    problems_error(r->problems, "%s%s", at, err.message);
}

static void check_server(const struct rules *r)
{
    const struct settings *s = r->set;
    char at[PLACE_BYTES];
    order(r, SETTINGS_ROW_sampling_fps_min, s->sampling_fps_min, SETTINGS_ROW_sampling_fps_max,
          s->sampling_fps_max);
    order(r, SETTINGS_ROW_chunk_s, s->chunk_s, SETTINGS_ROW_horizon_s, s->horizon_s);
    order(r, SETTINGS_ROW_upload_scale_min, s->upload_scale_min, SETTINGS_ROW_upload_scale_max,
          s->upload_scale_max);
    check_addresses(r);
    check_cores(r, SETTINGS_ROW_train_cores, s->train_cores);
    check_cores(r, SETTINGS_ROW_label_cores, s->label_cores);
    check_dividing(r);
    check_broker(r);
    check_webhooks(r);
    place(r, settings_table(), s, SETTINGS_ROW_cameras_max, at);
    if (r->cameras->count > s->cameras_max)
        problems_error(r->problems, "%s%d cameras are configured, cameras_max is %d; raise it", at,
                       r->cameras->count, s->cameras_max);
}

/* ---- cameras ---- */

/* A protocol that nobody knows is a slip of the hand; libav has more than these. False: none is
 * wrong. *ret_near: what was meant, NULL when none is near. */
static bool wrong_protocol(const char *source, char name[32], const char **ret_near)
{
    static const char *const known[] = {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps",
                                        "rtp",  "udp",   "tcp",  "srt",   "file", "mms"};
    const char *end = strstr(source, "://");
    if (!end || end - source >= 32)
        return false;
    snprintf(name, 32, "%.*s", (int)(end - source), source);
    *ret_near = yaml_nearest(name, known, NAMES_COUNT(known));
    return names_find(known, NAMES_COUNT(known), name, -1) < 0;
}

static void check_source(const struct rules *r, const struct camera_settings *c)
{
    char at[PLACE_BYTES], name[32];
    const char *near = NULL;
    bool wrong = wrong_protocol(c->source, name, &near);
    place(r, camera_settings_table(), c, CAMERA_ROW_source, at);
    if (wrong && near)
        problems_error(r->problems, "%s'%s': there is no protocol %s://; did you mean %s://?", at,
                       c->id, name, near);
    else if (wrong)
        problems_warn(r->problems,
                      "%s'%s': the protocol %s:// is not known here; cameras are "
                      "mostly rtsp://",
                      at, c->id, name);
    for (const struct camera_settings *o = r->cameras->cameras; o < c; o++)
        if (c->source[0] && strcmp(o->source, c->source) == 0)
            problems_warn(r->problems,
                          "%s'%s' and '%s' have the same source; keep one, or use "
                          "regions",
                          at, o->id, c->id);
}

/* Both are the business of whoever has the pictures. */
static void check_privacy(const struct rules *r, const struct camera_settings *c)
{
    char at[PLACE_BYTES];
    struct mask mask;
    struct error why;
    mask_init(&mask);
    place(r, camera_settings_table(), c, CAMERA_ROW_mask, at);
    if (mask_parse(c->mask, &mask, &why) != ST_OK)
        problems_error(r->problems, "%s'%s': %s; write X,Y X,Y X,Y; ...", at, c->id, why.message);
    if (mask.polygons && !c->source[0] && !c->origins[CAMERA_ROW_mask].shared)
        problems_error(r->problems,
                       "%s'%s' has a mask but no source; start the attune camera of a computer at "
                       "the camera with --mask",
                       at, c->id);
    mask_clear(&mask);
    place(r, camera_settings_table(), c, CAMERA_ROW_upload, at);
    if (!c->upload && !c->source[0])
        problems_error(r->problems,
                       "%s'%s' is not to upload but has no source; start the attune camera of a "
                       "computer at the camera with --no-upload",
                       at, c->id);
}

static void check_camera(const struct rules *r, const struct camera_settings *c)
{
    char at[PLACE_BYTES];
    struct regions regions;
    struct error why;
    check_source(r, c);
    place(r, camera_settings_table(), c, CAMERA_ROW_fps, at);
    if (c->fps > 0 && !c->source[0] && !c->origins[CAMERA_ROW_fps].shared)
        problems_error(r->problems,
                       "%s'%s' has fps but no source; fps is the rate at which the server reads "
                       "one, give a source or delete it",
                       at, c->id);
    place(r, camera_settings_table(), c, CAMERA_ROW_regions, at);
    if (c->regions[0] && regions_parse(c->regions, &regions, &why) != ST_OK)
        problems_error(r->problems, "%s'%s': %s; write X0,Y0,X1,Y1;...", at, c->id, why.message);
    check_privacy(r, c);
    int latitude = c->origins[CAMERA_ROW_latitude].from,
        longitude = c->origins[CAMERA_ROW_longitude].from;
    place(r, camera_settings_table(), c, latitude ? CAMERA_ROW_latitude : CAMERA_ROW_longitude, at);
    if (!latitude != !longitude)
        problems_warn(r->problems, "%s'%s' has a %s alone; give both, or neither", at, c->id,
                      latitude ? "latitude" : "longitude");
}

/* ---- secrets in files that others can read ---- */

/* Whether a row that this file says would not be shown to people. */
static bool has_secret(const struct setting_table *t, const void *values, int file)
{
    char shown[SETTING_TEXT_BYTES];
    for (int i = 0; i < t->count; i++) {
        struct setting_origin o = setting_table_origin(t, values, i);
        if (t->rows[i].kind != SETTING_TEXT || o.from != SETTING_FROM_FILE || o.secret ||
            o.file != file)
            continue;
        setting_table_show(t, values, i, shown);
        if (strcmp(shown, (const char *)values + t->rows[i].offset) != 0)
            return true;
    }
    return false;
}

static void check_secrets(const struct rules *r)
{
    for (int file = 0; file < r->set->file_count; file++) {
        const char *path = r->set->files[file];
        struct stat is;
        if (stat(path, &is) != 0 || !S_ISREG(is.st_mode) || !(is.st_mode & S_IROTH))
            continue;
        bool secret = has_secret(settings_table(), r->set, file);
        for (int i = 0; i < r->cameras->count && !secret; i++)
            secret = has_secret(camera_settings_table(), &r->cameras->cameras[i], file);
        if (secret)
            problems_warn(r->problems,
                          "%s:1:1: the file has a password in it and everybody can read it (mode "
                          "%03o); chmod 640 it, or write ${file:PATH} in place of the password",
                          path, (unsigned)is.st_mode & 0777);
    }
}

void settings_rules(const struct settings *s, const struct camera_list *cameras, bool complete,
                    struct problems *problems)
{
    const struct rules r = {s, cameras, problems};
    check_server(&r);
    for (int i = 0; i < cameras->count; i++)
        check_camera(&r, &cameras->cameras[i]);
    check_secrets(&r);
    check_models(&r, complete);
}

enum status settings_check(const struct settings *s, const struct camera_list *cameras,
                           struct error *err)
{
    struct problems problems;
    problems_init(&problems);
    settings_rules(s, cameras, true, &problems);
    return problems_status(&problems, ST_INVALID, err);
}
