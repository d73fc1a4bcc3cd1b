/* program.c - what every program of this folder says in the same words. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/plain.h"

#include "version_commit.h"

int cmd_fail(const char *name, const struct error *err)
{
    char text[sizeof err->message];
    snprintf(text, sizeof text, "%s", err->message[0] ? err->message : status_text(err->code));
    plain_text(text); /* it may quote what came from elsewhere */
    fprintf(stderr, "attune %s: %s\n", name, text);
    return CMD_FAILED;
}

int cmd_usage(const char *name, const char *format, ...)
{
    fprintf(stderr, "attune %s: ", name);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, ". See: attune %s --help\n", name);
    return CMD_USAGE;
}

const char *cmd_commit(void)
{
    return ATTUNE_COMMIT;
}

int cmd_text(void (*write)(struct buf *out))
{
    struct buf text;
    buf_init(&text);
    write(&text);
    fwrite(text.data, 1, text.size_bytes, stdout);
    buf_clear(&text);
    return CMD_OK;
}

int cmd_json(const char *name, json_t *o)
{
    if (!o) {
        struct error err;
        error_set(&err, ST_NOMEM, "no memory for the answer");
        return cmd_fail(name, &err);
    }
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(o);
    return CMD_OK;
}
