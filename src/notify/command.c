#include "notify/command.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/names.h"

#define PAYLOAD_CHARS_MAX 31

static const char *const knobs[] = {[COMMAND_LEARNING] = "learning/set",
                                    [COMMAND_RETRAIN] = "retrain/set",
                                    [COMMAND_MODEL] = "model/set"};

static enum status read_topic(const char *prefix, const char *topic, struct command *ret,
                              struct error *err)
{
    size_t n = strlen(prefix);
    if (strncmp(topic, prefix, n) != 0 || topic[n] != '/')
        return error_set(err, ST_FORMAT, "the topic is not below ours");
    topic += n + 1;
    n = strspn(topic, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (n < 1 || n > CAMERA_ID_CHARS_MAX || topic[n] != '/')
        return error_set(err, ST_FORMAT, "the topic names no camera");
    memcpy(ret->camera, topic, n);
    ret->camera[n] = '\0';
    ret->kind = (enum command_kind)names_find(knobs, NAMES_COUNT(knobs), topic + n + 1, 0);
    return ret->kind ? ST_OK
                     : error_set(err, ST_FORMAT,
                                 "what can be set is learning, retrain and model of a camera");
}

/* Without spaces around it. */
static enum status read_payload(const char *payload, size_t n, char ret[PAYLOAD_CHARS_MAX + 1],
                                struct error *err)
{
    while (n > 0 && isspace((unsigned char)*payload)) {
        payload++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)payload[n - 1]))
        n--;
    bool word = n <= PAYLOAD_CHARS_MAX;
    for (size_t i = 0; i < n && word; i++)
        word = payload[i] > ' ' && payload[i] <= '~';
    if (!word)
        return error_set(err, ST_FORMAT, "the payload is no short word");
    if (n > 0)
        memcpy(ret, payload, n);
    ret[n] = '\0';
    return ST_OK;
}

static int read_switch(const char *word)
{
    static const char *const words[][2] = {
        {"off", "on"}, {"false", "true"}, {"0", "1"}, {"disable", "enable"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (int on = 0; on < 2; on++)
            if (strcasecmp(word, words[i][on]) == 0)
                return on;
    return -1;
}

static bool read_version(const char *word, uint64_t *ret)
{
    uint64_t v = 0;
    size_t n = strspn(word, "0123456789");
    if (n < 1 || n > 18 || word[n])
        return false;
    for (; *word; word++)
        v = v * 10 + (uint64_t)(*word - '0');
    *ret = v;
    return true;
}

enum status command_read(const char *prefix, const char *topic, const void *payload, size_t n,
                         struct command *ret, struct error *err)
{
    struct command c = {0};
    char word[PAYLOAD_CHARS_MAX + 1];
    enum status st = read_topic(prefix, topic, &c, err);
    if (st == ST_OK)
        st = read_payload(payload, n, word, err);
    if (st != ST_OK)
        return st;
    int on = read_switch(word);
    if (c.kind == COMMAND_LEARNING && on < 0)
        return error_set(err, ST_FORMAT, "learning is ON or OFF, not '%s'", word);
    if (c.kind == COMMAND_RETRAIN && on == 0)
        return error_set(err, ST_FORMAT, "a training cannot be taken back");
    if (c.kind == COMMAND_MODEL && !read_version(word, &c.version))
        return error_set(err, ST_FORMAT, "model is the number of a version, not '%s'", word);
    c.on = on == 1;
    *ret = c;
    return ST_OK;
}
