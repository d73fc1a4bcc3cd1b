/* camera.c - the command line of the camera node.
 *
 * Options are one table, from which the parser and the help come. What the agent reports goes out
 * as JSON lines; the summary at the end as a short text, or as one more line of JSON.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/url.h"
#include "cmd/camera_mqtt.h"
#include "cmd/camera_notify.h"
#include "cmd/enroll.h"
#include "edge/agent.h"
#include "uplink/identity.h"

#define NAME "camera"

struct camera_options {
    struct agent_options agent;
    struct camera_mqtt_options mqtt;
    const char *results_path;
    bool json;
};

enum option_kind { TEXT, NUMBER, FLAG };

/* name, argument's name in the help, kind, where the value goes, least and largest number, help */
static struct camera_options chosen;
static struct identity identity; /* of a camera that was enrolled */
static double threads_value = 1, seed_value = 1;
static const char *log_format_name = "logfmt", *log_level_name = "info", *inference_name = "full";
static const char *transport_name = "auto";

static const struct row {
    const char *name, *argument;
    enum option_kind kind;
    void *value;
    double min, max;
    const char *help;
} rows[] = {
    {"source", "URL", TEXT, &chosen.agent.source_url, 0, 0,
     "a file, rtsp://..., /dev/video0, a folder of images, or the\n"
     "synthetic town: town:scenario=demo,camera=0,fps=12; where the\n"
     "URL holds a password: in the environment, as ATTUNE_SOURCE, or\nwith --credentials-file"},
    {"credentials-file", "FILE", TEXT, &chosen.agent.credentials_file, 0, 0,
     "its first line is USER:PASSWORD for the source"},
    {"transport", "NAME", TEXT, &transport_name, 0, 0,
     "of RTSP: auto (TCP, UDP when the camera refuses that), tcp or udp\n(default: auto)"},
    {"tls-ca", "FILE", TEXT, &chosen.agent.tls_ca, 0, 0,
     "of an rtsps:// or https:// source: the certificates that are\n"
     "trusted, in PEM, its own or its maker's; or system (default: whoever\nanswers is taken for "
     "the camera)"},
    {"timeout", "S", NUMBER, &chosen.agent.timeout_s, 0.1, 600,
     "a stream that sends no pictures for so long is opened again\n(default: 10)"},
    {"student", "FILE", TEXT, &chosen.agent.student_path, 0, 0,
     "the ONNX network to run on every frame; in int8 when attune\nmodel quantize wrote it and the "
     "processor has VNNI"},
    {"server", "URL", TEXT, &chosen.agent.server_url, 0, 0,
     "https://HOST:PORT of the attune server; plain http:// only to\n"
     "this machine (default: the one that enrolled this camera; without\n"
     "any the student stays as it is)"},
    {"ca", "FILE", TEXT, &chosen.agent.ca_path, 0, 0,
     "the server's certificate (its state folder holds it as PEM):\n"
     "the only one that is trusted; an enrolled camera needs none"},
    {"insecure", NULL, FLAG, &chosen.agent.insecure, 0, 0,
     "do not check the certificate; for experiments only"},
    {"id", "NAME", TEXT, &chosen.agent.camera_id, 0, 0,
     "this camera's name at the server: a-z, 0-9, '_' and '-'\n(default: as enrolled, or camera)"},
    {"latitude", "DEG", NUMBER, &chosen.agent.latitude_deg, -90, 90,
     "where the camera is, with --longitude: cameras nearby are the first to learn with"},
    {"longitude", "DEG", NUMBER, &chosen.agent.longitude_deg, -180, 180, ""},
    {"state", "DIR", TEXT, &chosen.agent.state_folder, 0, 0,
     "model, unsent chunks and what enrolment gave live here across\nrestarts (default: "
     "attune-camera-state)"},
    {"fps", "N", NUMBER, &chosen.agent.fps, 0.01, 1000, "frames a second (default: the source's)"},
    {"inference", "MODE", TEXT, &inference_name, 0, 0,
     "full: every frame at full size, unless the server asks for less;\n"
     "auto: the frame rate and the resolution that lose least within\nthe share (default: full)"},
    {"share", "N", NUMBER, &chosen.agent.share, 0, 1024,
     "processors that decoding and inference should need, as 0.4\n"
     "(default: 0, as many as there are)"},
    {"results", "FILE", TEXT, &chosen.results_path, 0, 0,
     "a line of JSON for every frame: time, model version, latency,\n"
     "share of the picture of each class; of a classification the class and\n"
     "its probability, of a detection the boxes; - is standard output"},
    {"score", NULL, FLAG, &chosen.agent.score, 0, 0,
     "town sources: also the mIoU or F1 of the running and of the unadapted\n"
     "student against the exact labels, once a second"},
    {"regions", "LIST", TEXT, &chosen.agent.regions, 0, 0,
     "of a student that classifies: parts of the picture, each with an\n"
     "answer of its own; X0,Y0,X1,Y1;... as fractions of its sides"},
    {"mask", "LIST", TEXT, &chosen.agent.mask, 0, 0,
     "parts of the picture that nobody is to see, painted grey before\n"
     "anything else is done: polygons X,Y X,Y X,Y; ... as fractions of\nits sides"},
    {"no-upload", NULL, FLAG, &chosen.agent.no_upload, 0, 0,
     "frames never leave this computer; it infers, and takes updates"},
    {"uplink-table", "FILE", TEXT, &chosen.agent.uplink_table, 0, 0,
     "what frame rates and sizes of samples cost and bring, as attune\nprofile measures it "
     "(default: that of the town)"},
    {"overlay", "FILE.mp4", TEXT, &chosen.agent.overlay_path, 0, 0,
     "a video of what the student sees"},
    {"seconds", "N", NUMBER, &chosen.agent.seconds, 0.1, 1e9,
     "stop after this long (default: when the source ends)"},
    {"threads", "N", NUMBER, &threads_value, 1, 256, "of an inference (default: 1)"},
    {"cores", "LIST", TEXT, &chosen.agent.cores, 0, 0,
     "processors that are the inference's alone, as 0-3,8; auto: as many\n"
     "as it has threads, when these are several (default: auto)"},
    {"seed", "N", NUMBER, &seed_value, 0, 2147483647, "of the retries' jitter (default: 1)"},
    {"log-level", "LEVEL", TEXT, &log_level_name, 0, 0,
     "error, warn, info or debug (default: info)"},
    {"mqtt", "ADDRESS", TEXT, &chosen.mqtt.address, 0, 0,
     "MQTT broker that is told what the student sees, as HOST:PORT or\n"
     "mqtts://HOST:PORT, on PREFIX/ID/detections"},
    {"mqtt-user", "NAME", TEXT, &chosen.mqtt.user, 0, 0, "user at the broker"},
    {"mqtt-password-file", "FILE", TEXT, &chosen.mqtt.password_file, 0, 0,
     "its first line is the user's password"},
    {"mqtt-ca", "FILE", TEXT, &chosen.mqtt.ca_path, 0, 0,
     "PEM file for the broker's certificate (default: the system's)"},
    {"mqtt-insecure", NULL, FLAG, &chosen.mqtt.insecure, 0, 0,
     "take any certificate of the broker; for trying only"},
    {"mqtt-prefix", "PREFIX", TEXT, &chosen.mqtt.prefix, 0, 0,
     "first part of the topics (default: attune)"},
    {"mqtt-fps", "N", NUMBER, &chosen.mqtt.results_fps, 0, 1000,
     "frames a second that are told at most, 0: every one (default: 5)"},
    {"log-format", "FORMAT", TEXT, &log_format_name, 0, 0,
     "logfmt, json (an object a line) or journald (default: logfmt)"},
    {"json", NULL, FLAG, &chosen.json, 0, 0, "the summary as one line of JSON"},
    {"help", NULL, FLAG, NULL, 0, 0, "this text"},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const char help_head[] =
    "attune camera: run a student network on a live source and keep it accurate.\n\n"
    "Every frame goes through the student. A few frames are sampled, sent to the server as\n"
    "H.264 within a bit budget, labelled there by a large network and trained on; the weights\n"
    "that matter come back and take over between two frames. Without the network the camera\n"
    "goes on with what it has and sends later.\n\n"
    "usage: attune camera --source URL --student FILE [OPTIONS]\n"
    "       attune camera enroll --server URL --code CODE [--state DIR]\n\n";

static const char help_end[] =
    "\nexamples:\n"
    "  attune camera --source town:scenario=demo --student models/town-student.onnx --score \\\n"
    "      --server https://127.0.0.1:8443 --ca attune-state/tls/cert.pem --results -\n"
    "  attune camera enroll --server https://10.0.0.2:8443 --code CODE --state "
    "/var/lib/attune/gate\n"
    "  attune camera --source rtsp://10.0.0.7/main --student student.onnx \\\n"
    "      --state /var/lib/attune/gate\n\n"
    "exit status: 0 done, 2 wrong usage, 3 it could not run\n";

static void print_help(void)
{
    struct buf text;
    buf_init(&text);
    buf_printf(&text, "%s", help_head);
    for (int i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", rows[i].name, rows[i].argument ? " " : "",
                 rows[i].argument ? rows[i].argument : "");
        buf_printf(&text, strlen(left) > 20 ? "  %s\n%23s" : "  %-20s%s", left,
                   strlen(left) > 20 ? "" : " ");
        for (const char *c = rows[i].help; *c; c++)
            if (*c == '\n')
                buf_printf(&text, "\n%23s", "");
            else
                buf_put_u8(&text, (uint8_t)*c);
        buf_put_u8(&text, '\n');
    }
    buf_printf(&text, "%s", help_end);
    cmd_help_buf(&text);
}

static int set_option(const struct row *row, const char *text)
{
    if (row->kind == FLAG) {
        *(bool *)row->value = true;
    } else if (row->kind == TEXT) {
        if (!*text)
            return cmd_usage(NAME, "--%s needs a value", row->name);
        *(const char **)row->value = text;
    } else if (!cmd_number(NAME, row->name, text, row->min, row->max, row->value)) {
        return CMD_USAGE;
    }
    return CMD_OK;
}

/* `ps` shows command lines to all: the URL stays there without its secrets. */
static int hide_source(char *argument)
{
    chosen.agent.source_url = strdup(argument);
    if (!chosen.agent.source_url)
        return cmd_usage(NAME, "no memory");
    size_t chars = strlen(argument);
    url_redact(chosen.agent.source_url, argument, chars + 1);
    memset(argument + strlen(argument), 0, chars - strlen(argument));
    return CMD_OK;
}

/* CMD_OK, or the exit status; -1 after --help. */
static int parse_options(int argc, char **argv)
{
    struct option long_options[ROW_COUNT + 1] = {{0}};
    for (int i = 0; i < ROW_COUNT; i++)
        long_options[i] = (struct option){
            .name = rows[i].name, .has_arg = rows[i].kind != FLAG, .flag = NULL, .val = 1000 + i};
    agent_options_init(&chosen.agent);
    camera_mqtt_options_init(&chosen.mqtt);
    chosen.agent.state_folder = "attune-camera-state";
    opterr = 0;
    optind = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", long_options, NULL)) != -1;) {
        if (c == 'h' || c == 1000 + ROW_COUNT - 1) {
            print_help();
            return -1;
        }
        if (c == ':')
            return cmd_usage(NAME, "%s needs a value", argv[optind - 1]);
        if (c == '?')
            return cmd_usage(NAME, "there is no option %s", argv[optind - 1]);
        int bad = set_option(&rows[c - 1000], optarg);
        if (!bad && rows[c - 1000].value == &chosen.agent.source_url)
            bad = hide_source(optarg);
        if (bad)
            return bad;
    }
    if (optind < argc)
        return cmd_usage(NAME, "'%s' is not an option", argv[optind]);
    return CMD_OK;
}

/* Server, name, key and token from the state folder, where enrolment left them. What is said on the
 * command line wins, but the token goes to the key that gave it only. */
static int take_identity(struct agent_options *o)
{
    struct error err;
    const char *token = getenv("ATTUNE_TOKEN");
    enum status st = identity_load(o->state_folder, &identity, &err);
    if (st != ST_OK && st != ST_NOT_FOUND)
        return cmd_fail(NAME, &err);
    if (st == ST_OK && o->camera_id && strcmp(o->camera_id, identity.camera) != 0)
        return cmd_usage(NAME, "%s was enrolled as '%s', not as '%s'", o->state_folder,
                         identity.camera, o->camera_id);
    if (st == ST_OK) {
        o->camera_id = identity.camera;
        o->token = identity.token;
        o->pin = identity.pin[0] ? identity.pin : NULL;
        if (!o->server_url)
            o->server_url = identity.server;
    }
    if (token && *token)
        o->token = token;
    if (!o->camera_id)
        o->camera_id = "camera";
    return CMD_OK;
}

static int check_options(void)
{
    struct agent_options *o = &chosen.agent;
    if (!o->source_url)
        o->source_url = getenv("ATTUNE_SOURCE");
    if (!o->source_url || !*o->source_url)
        return cmd_usage(NAME, "--source is needed: where do the pictures come from?");
    if (!o->student_path)
        return cmd_usage(NAME, "--student is needed: the ONNX network to run");
    if (o->insecure && o->ca_path)
        return cmd_usage(NAME, "--ca and --insecure contradict each other");
    o->choose = strcmp(inference_name, "auto") == 0;
    if (!o->choose && strcmp(inference_name, "full") != 0)
        return cmd_usage(NAME, "--inference is full or auto, not '%s'", inference_name);
    if (!video_transport_parse(transport_name, &o->transport))
        return cmd_usage(NAME, "--transport is auto, tcp or udp, not '%s'", transport_name);
    enum log_level level = log_level_parse(log_level_name);
    if (!level)
        return cmd_usage(NAME, "--log-level is error, warn, info or debug, not '%s'",
                         log_level_name);
    log_level_set(level);
    enum log_format format = log_format_parse(log_format_name);
    if (!format)
        return cmd_usage(NAME, "--log-format is logfmt, json or journald, not '%s'",
                         log_format_name);
    log_format_set(format);
    o->threads = (int)threads_value;
    o->seed = (uint64_t)seed_value;
    return take_identity(o);
}

/* What the callbacks write to. */
struct report {
    FILE *results;                /* NULL: none */
    struct camera_mqtt *mqtt;     /* NULL: none */
    const struct task_spec *spec; /* class names */
    struct progress progress;
    uint64_t start_us;
};

static void print_number(FILE *to, const char *key, double v)
{
    if (isfinite(v))
        fprintf(to, ",\"%s\":%.4f", key, v);
    else
        fprintf(to, ",\"%s\":null", key);
}

/* Class names come from a file: what JSON cannot hold is left out. */
static void print_json_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text; text++)
        if ((unsigned char)*text >= 0x20 && *text != '"' && *text != '\\')
            fputc(*text, to);
    fputc('"', to);
}

/* Shares of the picture of a segmentation. */
static void print_shares(FILE *to, const struct task_spec *spec, const struct agent_result *r)
{
    fputs("\"classes\":{", to);
    for (int c = 0, printed = 0; c < r->class_count; c++) {
        if (r->fraction[c] <= 0)
            continue;
        fputs(printed++ ? "," : "", to);
        print_json_text(to, spec->class_name[c]);
        fprintf(to, ":%.5f", (double)r->fraction[c]);
    }
    fputc('}', to);
}

static void print_boxes(FILE *to, const struct task_spec *spec, const struct agent_result *r)
{
    fputs("\"boxes\":[", to);
    for (int i = 0; i < r->box_count; i++) {
        const struct box *b = &r->boxes[i];
        fputs(i ? ",{\"class\":" : "{\"class\":", to);
        print_json_text(to, spec->class_name[b->class_id]);
        fprintf(to, ",\"score\":%.3f,\"box\":[%.5f,%.5f,%.5f,%.5f]}", (double)b->score,
                (double)b->x0, (double)b->y0, (double)b->x1, (double)b->y1);
    }
    fputc(']', to);
}

static void print_class(FILE *to, const struct task_spec *spec, const struct agent_result *r)
{
    if (r->region >= 0)
        fprintf(to, "\"region\":%d,", r->region);
    fputs("\"class\":", to);
    print_json_text(to, spec->class_name[r->class_id]);
    fprintf(to, ",\"probability\":%.5f", (double)r->fraction[r->class_id]);
}

static void on_result(void *context, const struct agent_result *r)
{
    struct report *report = context;
    uint64_t now_us = clock_mono_us();
    progress_update(&report->progress, (now_us - report->start_us) / 1000000, NULL, now_us);
    camera_mqtt_result(report->mqtt, report->spec, r);
    FILE *to = report->results;
    if (!to)
        return;
    fprintf(to,
            "{\"type\":\"frame\",\"t_us\":%" PRIu64 ",\"frame\":%" PRIu64 ",\"version\":%" PRIu64
            ",\"held\":%s,\"latency_ms\":%.3f,",
            r->t_us, r->frame, r->version, r->held ? "true" : "false",
            (double)r->latency_us / 1000);
    if (report->spec->task == TASK_CLASSIFY)
        print_class(to, report->spec, r);
    else if (report->spec->task == TASK_DETECT)
        print_boxes(to, report->spec, r);
    else
        print_shares(to, report->spec, r);
    fputs("}\n", to);
}

/* "miou_10s" and "miou_unadapted_10s", or under F1's name. */
static void print_scores(FILE *to, const struct task_spec *spec, const char *suffix, double adapted,
                         double unadapted)
{
    char key[40];
    const char *name = spec->task == TASK_DETECT ? "f1" : "miou";
    snprintf(key, sizeof key, "%s%s", name, suffix);
    print_number(to, key, adapted);
    snprintf(key, sizeof key, "%s_unadapted%s", name, suffix);
    print_number(to, key, unadapted);
}

static void on_score(void *context, const struct agent_score *s)
{
    struct report *report = context;
    FILE *to = report->results;
    if (!to)
        return;
    fprintf(to, "{\"type\":\"score\",\"t_us\":%" PRIu64 ",\"version\":%" PRIu64 ",\"condition\":",
            s->t_us, s->version);
    print_json_text(to, s->condition);
    print_scores(to, report->spec, "", s->adapted, s->unadapted);
    print_scores(to, report->spec, "_10s", s->adapted_10s, s->unadapted_10s);
    print_number(to, "up_kbps", s->up_kbps);
    print_number(to, "down_kbps", s->down_kbps);
    fprintf(to, ",\"frames\":%" PRIu64 ",\"dropped\":%" PRIu64 "}\n", s->frames, s->dropped);
    fflush(to); /* a watcher wants it now; the lines between may wait for it */
}

static void print_summary_json(FILE *to, const struct task_spec *spec,
                               const struct agent_summary *s)
{
    fprintf(to, "{\"type\":\"summary\",\"camera\":");
    print_json_text(to, chosen.agent.camera_id);
    print_number(to, "elapsed_s", s->elapsed_s);
#define COUNT(name) fprintf(to, ",\"" #name "\":%" PRIu64, s->name)
    COUNT(frames);
    COUNT(held);
    COUNT(dropped_late);
    COUNT(dropped_by_swap);
    COUNT(dropped_samples);
    COUNT(dropped_results);
    COUNT(dropped_chunks);
    COUNT(source_restarts);
    COUNT(samples);
    COUNT(chunks);
    COUNT(chunks_acknowledged);
    COUNT(up_bytes);
    COUNT(down_bytes);
    COUNT(versions_applied);
    COUNT(version);
#undef COUNT
    print_number(to, "rate", 1.0 / s->running.configuration.stride);
    print_number(to, "resolution", s->running.configuration.scale);
    print_number(to, "demand", s->running.demand);
    print_number(to, "latency_p50_ms", (double)s->latency_p50_us / 1000);
    print_number(to, "latency_p95_ms", (double)s->latency_p95_us / 1000);
    print_number(to, "latency_max_ms", (double)s->latency_max_us / 1000);
    print_number(to, "up_kbps", s->up_kbps);
    print_number(to, "down_kbps", s->down_kbps);
    print_scores(to, spec, "", s->adapted, s->unadapted);
    print_scores(to, spec, "_60s", s->adapted_60s, s->unadapted_60s);
    fprintf(to, ",\"scored_frames\":%d,\"params_crc32\":\"%08x\"}\n", s->scored_frames,
            s->params_crc32);
}

static void print_summary_text(FILE *to, const struct task_spec *spec,
                               const struct agent_summary *s)
{
    fprintf(to,
            "%" PRIu64 " frames in %.0f s; dropped: %" PRIu64 " late, %" PRIu64 " by model swaps\n"
            "latency to labels: median %.1f ms, p95 %.1f ms, largest %.1f ms\n"
            "model version %" PRIu64 ", %" PRIu64 " applied in this run\n",
            s->frames, s->elapsed_s, s->dropped_late, s->dropped_by_swap,
            (double)s->latency_p50_us / 1000, (double)s->latency_p95_us / 1000,
            (double)s->latency_max_us / 1000, s->version, s->versions_applied);
    if (s->source_restarts > 0)
        fprintf(to, "the source was opened again %" PRIu64 " times\n", s->source_restarts);
    if (s->held > 0)
        fprintf(to,
                "%" PRIu64 " frames got the answer of an earlier one; at last every %d. was "
                "inferred, at %.2f of the size\n",
                s->held, s->running.configuration.stride, s->running.configuration.scale);
    if (chosen.agent.server_url)
        fprintf(to,
                "uplink %.1f kbit/s, downlink %.1f kbit/s; %" PRIu64 " chunks, %" PRIu64
                " acknowledged, %" PRIu64 " dropped; samples: %" PRIu64 " sent, %" PRIu64
                " dropped\n",
                s->up_kbps, s->down_kbps, s->chunks, s->chunks_acknowledged, s->dropped_chunks,
                s->samples, s->dropped_samples);
    if (s->scored_frames > 0)
        fprintf(to, "%s against exact labels: %.3f, unadapted %.3f (last minute %.3f, %.3f)\n",
                task_score_name(spec->task), s->adapted, s->unadapted, s->adapted_60s,
                s->unadapted_60s);
}

static struct agent *_Atomic running; /* for the signal handler */

static void on_signal(int number)
{
    (void)number;
    struct agent *a = running;
    if (a)
        agent_stop(a);
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
}

static int run(struct report *report)
{
    struct error err;
    struct agent *a = NULL;
    if (agent_open(&chosen.agent, &a, &err) != ST_OK)
        return cmd_fail(NAME, &err);
    report->spec = agent_spec(a);
    report->start_us = clock_mono_us();
    progress_init(&report->progress, NAME, (uint64_t)chosen.agent.seconds, chosen.agent.seconds < 2,
                  report->start_us);
    running = a;
    catch_signals();
    struct agent_summary summary;
    struct camera_notify notify;
    camera_notify_start(&notify, a);
    enum status st = agent_run(a, &summary, &err);
    camera_notify_stop(&notify);
    running = NULL;
    progress_clear(&report->progress);
    if (chosen.json)
        print_summary_json(stdout, report->spec, &summary);
    else
        print_summary_text(report->results == stdout ? stderr : stdout, report->spec, &summary);
    agent_close(&a);
    return st == ST_OK ? CMD_OK : cmd_fail(NAME, &err);
}

int cmd_camera(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "enroll") == 0)
        return cmd_camera_enroll(argc - 1, argv + 1);
    int bad = parse_options(argc, argv);
    if (bad == -1)
        return CMD_OK;
    if (bad == CMD_OK)
        bad = check_options();
    if (bad != CMD_OK)
        return bad;
    struct report report = {0};
    chosen.agent.on_result = on_result;
    chosen.agent.on_score = on_score;
    chosen.agent.context = &report;
    const char *path = chosen.results_path;
    if (path)
        report.results = strcmp(path, "-") == 0 ? stdout : fopen(path, "ae");
    struct error err;
    if (path && !report.results) {
        error_set(&err, ST_IO, "cannot write %s: %s", path, strerror(errno));
        return cmd_fail(NAME, &err);
    }
    chosen.mqtt.seed = chosen.agent.seed;
    if (camera_mqtt_open(&chosen.mqtt, chosen.agent.camera_id, &report.mqtt, &err) != ST_OK)
        return cmd_usage(NAME, "%s", err.message);
    int status = run(&report);
    camera_mqtt_close(&report.mqtt);
    if (report.results && report.results != stdout)
        fclose(report.results);
    return status;
}
