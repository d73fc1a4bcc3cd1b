/* model_delta.c - `attune model delta`: what an update says of itself; no model is needed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "cmd/model.h"
#include "delta/delta.h"

#define NAME "model delta"
#define DELTA_FILE_BYTES_MAX ((size_t)1 << 30)

static const char help[] =
    "usage: attune model delta FILE [--json]\n\n"
    "What a model update (vN.delta) or a snapshot (vN.snap) of a server's state folder says of "
    "itself:\n"
    "from which version to which, how many weights it sets, what its parts take in bytes. The\n"
    "checksum is checked. What it does to a model is told by: attune model diff BASE.onnx FILE\n\n"
    "  --json     as JSON\n\n"
    "example: attune model delta /var/lib/attune/models/gate-1/v7.snap\n";

static json_t *delta_json(const struct delta_info *d)
{
    char identity[65];
    for (int i = 0; i < 32; i++)
        snprintf(identity + 2 * i, 3, "%02x", d->identity[i]);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I}", "model", identity,
                     "base", (json_int_t)d->versions.base, "version", (json_int_t)d->versions.new,
                     "parameters", (json_int_t)d->trainable_count, "sent",
                     (json_int_t)d->value_count, "statistics", (json_int_t)d->stat_count,
                     "statistics_sent", d->statistics, "bytes", (json_int_t)d->bytes, "mask_bytes",
                     (json_int_t)(d->count_bytes + d->mask_bytes), "value_bytes",
                     (json_int_t)d->value_bytes, "statistics_bytes", (json_int_t)d->stat_bytes);
}

static void print_delta(const struct delta_info *d)
{
    printf("%s from version %" PRIu64 " to %" PRIu64 "\n", d->versions.base ? "update" : "snapshot",
           d->versions.base, d->versions.new);
    printf("weights sent  %u of %u (%.2f %%)%s\n", d->value_count, d->trainable_count,
           100.0 * d->value_count / d->trainable_count,
           d->statistics ? ", and batch-norm statistics" : "");
    printf("bytes         %zu: mask %zu, values %zu, statistics %zu\n", d->bytes,
           d->count_bytes + d->mask_bytes, d->value_bytes, d->stat_bytes);
}

int cmd_model_delta(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    const struct cmd_option options[] = {{"json", CMD_FLAG, &json, 0, 0}, {0}};
    int code = cmd_parse(NAME, help, options, argc, argv, &path, 1, 1, NULL);
    if (code >= 0)
        return code;
    struct buf bytes;
    struct error err = {0};
    struct delta_info info;
    buf_init(&bytes);
    enum status st = file_read(path, DELTA_FILE_BYTES_MAX, &bytes, &err);
    if (st == ST_OK) {
        st = delta_info_read(bytes.data, bytes.size_bytes, &info, NULL, 0, &err);
        if (st != ST_OK)
            error_prefix(&err, "%s", path);
    }
    buf_clear(&bytes);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    if (json)
        return cmd_json(NAME, delta_json(&info));
    print_delta(&info);
    return CMD_OK;
}
