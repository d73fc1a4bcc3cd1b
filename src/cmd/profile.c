/* profile.c - `attune profile`: the table from which cameras choose at what rate and size they
 * send. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/progress.h"
#include "cmd/cmd.h"
#include "eval/uplink_profile.h"

#define NAME "profile"

static const char help[] =
    "usage: attune profile --student FILE --teacher FILE --out TABLE.yaml [OPTIONS] SCENE...\n\n"
    "Measures what frame rates and sizes of uploaded samples cost in bits, and bring in accuracy\n"
    "after training on them: the table from which attune camera --uplink-table FILE chooses. A\n"
    "scene is a video or a camera of the town; take some in which the student needs to learn.\n\n"
    "  --student FILE      the ONNX network of the cameras\n"
    "  --teacher FILE      the ONNX network that labels\n"
    "  --out FILE          the table (docs/formats.md, transmission table)\n"
    "  --fps LIST          rising, default 0.1,0.25,0.5,1,2\n"
    "  --scales LIST       of the sides, falling, default 1,0.75,0.5\n"
    "  --shares LIST       of a processor that trains, rising, default 0.05,0.1,0.25,0.5\n"
    "  --rate-factor N     x264's CRF, default 23\n"
    "  --slack X           accuracies nearer than this are equal, default 0.01\n"
    "  --learn S           seconds of each scene that are learned from, default 30\n"
    "  --score S           and the seconds after them that are scored, default 20\n"
    "  --passes N          over a frame that a job can use, default 8\n"
    "  --threads N         default 1\n"
    "  --seed N            default 1\n"
    "  --quiet             no progress bar\n\n"
    "example: attune profile --student models/town-student.onnx --teacher "
    "models/town-teacher.onnx\n"
    "         --out town.yaml town:scenario=day,start=300 town:scenario=day,start=420,camera=1\n";

struct arguments {
    const char *fps, *scales, *shares, *out;
    double rate_factor, slack;
    bool quiet;
};

static void show(void *user, int done, int total)
{
    struct progress *p = user;
    p->total = (uint64_t)total;
    progress_update(p, (uint64_t)done, NULL, clock_mono_us());
}

/* "1,0.5" into ret[count_max], rising or falling; 0 after a message. */
static int read_list(const char *flag, const char *text, double min, double max, int count_max,
                     bool rising, double *ret)
{
    char one[64];
    int count = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        snprintf(one, sizeof one, "%.*s", (int)strcspn(at, ","), at);
        if (count == count_max) {
            cmd_usage(NAME, "%s takes at most %d numbers", flag, count_max);
            return 0;
        }
        if (!cmd_number(NAME, flag, one, min, max, &ret[count]))
            return 0;
        if (count > 0 && (ret[count] > ret[count - 1]) != rising) {
            cmd_usage(NAME, "the numbers of %s must %s", flag, rising ? "rise" : "fall");
            return 0;
        }
        count++;
    }
    return count;
}

static bool read_axes(const struct arguments *a, struct controller_table *t)
{
    double scales[CONTROLLER_SIZES_MAX] = {0};
    *t = (struct controller_table){.rate_factor = a->rate_factor, .slack = a->slack};
    t->rate_count = read_list("--fps", a->fps, CONTROLLER_FPS_MIN, CONTROLLER_FPS_MAX,
                              CONTROLLER_RATES_MAX, true, t->fps);
    if (t->rate_count > 0)
        t->size_count = read_list("--scales", a->scales, CONTROLLER_SCALE_MIN, 1,
                                  CONTROLLER_SIZES_MAX, false, scales);
    if (t->size_count > 0)
        t->share_count = read_list("--shares", a->shares, 1e-6, CONTROLLER_SHARE_MAX,
                                   CONTROLLER_SHARES_MAX, true, t->share);
    for (int i = 0; i < t->size_count; i++)
        t->sizes[i].scale = scales[i];
    return t->share_count > 0;
}

static enum status measure(const struct uplink_profile_options *o, const struct arguments *a,
                           struct controller_table *t, struct error *err)
{
    struct progress bar;
    struct buf text;
    progress_init(&bar, "profile", 0, a->quiet, clock_mono_us());
    enum status st = uplink_profile_run(o, show, &bar, t, err);
    progress_clear(&bar);
    buf_init(&text);
    controller_table_write(t, &text);
    if (st == ST_OK && text.failed)
        st = error_set(err, ST_NOMEM, "no memory for the table");
    if (st == ST_OK)
        st = file_write(a->out, text.data, text.size_bytes, err);
    buf_clear(&text);
    return st;
}

int cmd_profile(int argc, char **argv)
{
    struct uplink_profile_options o;
    struct controller_table table;
    struct error err = {0};
    const char *scenes[UPLINK_SCENES_MAX];
    struct arguments a = {.fps = "0.1,0.25,0.5,1,2",
                          .scales = "1,0.75,0.5",
                          .shares = "0.05,0.1,0.25,0.5",
                          .rate_factor = 23,
                          .slack = 0.01};
    uplink_profile_options_init(&o);
    const struct cmd_option options[] = {{"student", CMD_TEXT, &o.student, 0, 0},
                                         {"teacher", CMD_TEXT, &o.teacher, 0, 0},
                                         {"out", CMD_TEXT, &a.out, 0, 0},
                                         {"fps", CMD_TEXT, &a.fps, 0, 0},
                                         {"scales", CMD_TEXT, &a.scales, 0, 0},
                                         {"shares", CMD_TEXT, &a.shares, 0, 0},
                                         {"rate-factor", CMD_NUMBER, &a.rate_factor, 0, 51},
                                         {"slack", CMD_NUMBER, &a.slack, 0, 1},
                                         {"learn", CMD_NUMBER, &o.learn_s, 1, 3600},
                                         {"score", CMD_NUMBER, &o.score_s, 1, 3600},
                                         {"passes", CMD_NUMBER, &o.passes, 0.1, 1000},
                                         {"threads", CMD_WHOLE, &o.threads, 1, 256},
                                         {"seed", CMD_COUNT, &o.seed, 0, 2147483647},
                                         {"quiet", CMD_FLAG, &a.quiet, 0, 0},
                                         {NULL, CMD_FLAG, NULL, 0, 0}};
    int code =
        cmd_parse(NAME, help, options, argc, argv, scenes, 1, UPLINK_SCENES_MAX, &o.scene_count);
    if (code >= 0)
        return code;
    if (!o.student || !o.teacher || !a.out)
        return cmd_usage(NAME, "--student, --teacher and --out are needed");
    o.scenes = scenes;
    if (!read_axes(&a, &table))
        return CMD_USAGE;
    return measure(&o, &a, &table, &err) == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}
