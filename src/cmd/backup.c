/* backup.c - `attune backup` and `attune restore`: the state of a server in one file, and back. */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "cmd/plain.h"
#include "store/backup.h"

static const char backup_help[] =
    "usage: attune backup --state DIR --out FILE [OPTIONS]\n"
    "\n"
    "All that a server has learned and knows in one file, whole and of one moment; the server may "
    "go\n"
    "on running. attune restore brings it back.\n"
    "\n"
    "  --state DIR    state folder of the server\n"
    "  --out FILE     the backup, a .tar.zst; one that is there is replaced when all is done\n"
    "  --no-chunks    without samples and their labels: smaller, and cameras send new ones\n"
    "  --with-keys    with the certificate's key (tls/); cameras that know the certificate go on\n"
    "                 knowing it. Keep such a file as you keep keys\n"
    "  --json         {\"files\", \"bytes\", \"missing\", ...}\n"
    "  --quiet        no progress bar\n";

static const char restore_help[] =
    "usage: attune restore FILE --state DIR [OPTIONS]\n"
    "       attune restore --check FILE\n"
    "\n"
    "A server's state from a backup. The whole file is checked first: of one that is damaged "
    "nothing\n"
    "is written.\n"
    "\n"
    "  --state DIR    folder to be made; no server may be using it\n"
    "  --force        one that is there and not empty is moved to DIR.before-TIME\n"
    "  --check        read all of it, write nothing\n"
    "  --json         {\"files\", \"bytes\", ...}\n";

static json_t *report_json(const struct backup_report *r)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:i,s:b,s:b,s:s,s:s}", "files", (json_int_t)r->files,
                     "bytes", (json_int_t)r->bytes, "missing", (json_int_t)r->missing, "made_us",
                     (json_int_t)r->made_us, "schema", r->schema, "chunks", (int)r->chunks, "keys",
                     (int)r->keys, "program", r->program, "student", r->student);
}

static void draw(void *context, uint64_t done, uint64_t total)
{
    struct progress *p = context;
    p->total = total > done ? total : done;
    progress_update(p, done, NULL, clock_mono_us());
}

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static bool is_ended(void *context)
{
    (void)context;
    return ended;
}

/* So that what is half written goes, too. */
static void end_by_signals(void)
{
    const struct sigaction end = {.sa_handler = on_signal};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
}

int cmd_backup(int argc, char **argv)
{
    const char *state = NULL, *out = NULL;
    bool no_chunks = false, keys = false, json = false, quiet = false;
    const struct cmd_option options[] = {{"state", CMD_TEXT, &state, 0, 0},
                                         {"out", CMD_TEXT, &out, 0, 0},
                                         {"no-chunks", CMD_FLAG, &no_chunks, 0, 0},
                                         {"with-keys", CMD_FLAG, &keys, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {"quiet", CMD_FLAG, &quiet, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int bad = cmd_parse("backup", backup_help, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    if (!state || !out)
        return cmd_usage("backup", "--state and --out are needed");
    struct progress p;
    struct backup_report r;
    struct error err;
    progress_init(&p, "files", 0, quiet || json, clock_mono_us());
    struct backup_options o = {.chunks = !no_chunks,
                               .keys = keys,
                               .program = ATTUNE_VERSION,
                               .now_us = clock_wall_us(),
                               .progress = draw,
                               .stop = is_ended,
                               .context = &p};
    end_by_signals();
    enum status st = backup_write(state, out, &o, &r, &err);
    progress_clear(&p);
    if (st != ST_OK)
        return cmd_fail("backup", &err);
    if (json)
        return cmd_json("backup", report_json(&r));
    printf("%s: %" PRIu64 " files, %.1f MB before compression%s%s\n", out, r.files,
           (double)r.bytes / 1e6, r.chunks ? "" : ", without samples",
           r.keys ? ", with the certificate's key: keep it safe" : "");
    if (r.missing)
        printf("%" PRIu64 " files of samples were gone already; they are left out\n", r.missing);
    return CMD_OK;
}

static void print_restored(struct backup_report *r, const char *file, const char *state,
                           const char *moved)
{
    char when[32] = "?";
    struct tm parts;
    time_t at = (time_t)(r->made_us / 1000000);
    if (localtime_r(&at, &parts))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    plain_text(r->program);
    printf("%s: whole; %" PRIu64 " files, %.1f MB, made %s by attune %s%s%s\n", file, r->files,
           (double)r->bytes / 1e6, when, r->program, r->chunks ? "" : ", without samples",
           r->keys ? ", with the certificate's key" : "");
    if (state)
        printf("restored to %s\n", state);
    if (moved[0])
        printf("what was there is in %s\n", moved);
}

int cmd_restore(int argc, char **argv)
{
    const char *state = NULL, *file;
    bool force = false, check = false, json = false;
    char moved[PATH_MAX] = "";
    const struct cmd_option options[] = {{"state", CMD_TEXT, &state, 0, 0},
                                         {"force", CMD_FLAG, &force, 0, 0},
                                         {"check", CMD_FLAG, &check, 0, 0},
                                         {"json", CMD_FLAG, &json, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    int count, bad = cmd_parse("restore", restore_help, options, argc, argv, &file, 0, 1, &count);
    if (bad != -1)
        return bad;
    if (count == 0 || (!state && !check))
        return cmd_usage("restore", "a backup and --state are needed, or --check and a backup");
    struct backup_report r;
    struct error err;
    enum status st = check ? backup_check(file, &r, &err)
                           : backup_restore(file, state, force, clock_wall_us(), &r, moved, &err);
    if (st == ST_FORMAT && check) {
        cmd_fail("restore", &err);
        return CMD_NO;
    }
    if (st != ST_OK)
        return cmd_fail("restore", &err);
    if (json)
        return cmd_json("restore", report_json(&r));
    print_restored(&r, file, check ? NULL : state, moved);
    return CMD_OK;
}
