/* demo.c - a whole site on this machine for three minutes: a server, eight cameras, a town.
 *
 * The parts are the real ones, as child processes: `attune server` on loopback and eight `attune
 * camera`, with a temporary state folder. The demo only starts them, shows what the cameras report
 * and judges the end: adapted against unadapted over the last minute, bit rates, latency.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "cmd/demo_view.h"
#include "cmd/fetch.h"
#include "synth/town.h"

#define NAME "demo"
#define SERVER_START_US 30000000
#define SERVER_STOP_US 15000000
#define CAMERA_STOP_US 6000000
/* A camera that has not ended by itself this long after its time does not. */
#define CAMERA_LATE_US 30000000
#define DRAW_US 500000
#define LOG_TAIL_BYTES 2000

/* What the demo promises. */
#define POINTS_MIN 10.0 /* mean over the cameras */
#define WORSE_MAX 2.0   /* points that noise may cost one of them */
#define KBPS_MAX 300.0
#define LATENCY_P95_MS_MAX 40.0

struct demo {
    double seconds, fps;
    bool headless, json;
    const char *models, *keep_folder;
    char student[PATH_MAX], teacher[PATH_MAX], folder[PATH_MAX];
    struct child server, camera_process[DEMO_CAMERAS];
    struct demo_camera cameras[DEMO_CAMERAS];
    struct demo_view view;
    int http_port, https_port;
    uint64_t start_us;
    json_t *groups;     /* who learned with whom in the end; NULL: not known */
    char reasons[1024]; /* what fell short */
};

/* Camera i films district i % DISTRICTS. */
#define DISTRICTS 3
static const char *const camera_ids[DEMO_CAMERAS] = {
    "north-1", "harbour-1", "hill-1", "north-2", "harbour-2", "hill-2", "north-3", "harbour-3"};

static atomic_bool interrupted;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

static void print_help(void)
{
    puts(
        "attune demo: a server and eight cameras on this machine, in a town that does not "
        "exist.\n\n"
        "Eight cameras film three districts of a synthetic town. It is a clear day when they "
        "start;\n"
        "then dusk, night and rain come, from district to district. Each camera runs its small\n"
        "network on every frame, as it would have been without attune and as attune keeps it, and\n"
        "both are scored against the exact labels. Cameras that drift alike share a model and "
        "what\n"
        "it learns: the page shows these groups form and part (attune explain group, with the\n"
        "page's address, says why). The server divides what this machine has left among them\n"
        "(attune explain schedule). At the end: a table, and exit status 0 when the cameras are "
        "at\n"
        "least 10 points better over the last minute on average and none is worse, within 300\n"
        "kbit/s each way and 40 ms from camera to labels.\n\n"
        "usage: attune demo [OPTIONS]\n\n"
        "  --seconds N      how long (default: 180; with less than 150 the night has only begun)\n"
        "  --fps N          of the cameras (default: what this machine can carry, 2.25 for each\n"
        "                   processor, from 4 to 12)\n"
        "  --models DIR     folder with town-student.onnx and town-teacher.onnx\n"
        "                   (default: found beside the program)\n"
        "  --state DIR      keep models, chunks and logs there (default: a temporary folder,\n"
        "                   removed at the end)\n"
        "  --headless       no live display\n"
        "  --json           the result as one line of JSON on standard output\n"
        "  --help           this text\n\n"
        "exit status: 0 good, 1 fell short (and a sentence says how), 2 wrong usage,\n"
        "3 it could not run");
}

/* CMD_OK, or the exit status; -1 after --help. */
static int parse_options(struct demo *d, int argc, char **argv)
{
    enum { SECONDS = 1, FPS, MODELS, STATE, HEADLESS, JSON };
    static const struct option options[] = {{"seconds", 1, 0, SECONDS},   {"fps", 1, 0, FPS},
                                            {"models", 1, 0, MODELS},     {"state", 1, 0, STATE},
                                            {"headless", 0, 0, HEADLESS}, {"json", 0, 0, JSON},
                                            {"help", 0, 0, 'h'},          {0}};
    opterr = 0;
    optind = 0;
    int bad = CMD_OK;
    for (int c; bad == CMD_OK && (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
        if (c == SECONDS)
            bad = cmd_number(NAME, "seconds", optarg, 5, 86400, &d->seconds) ? CMD_OK : CMD_USAGE;
        else if (c == FPS)
            bad = cmd_number(NAME, "fps", optarg, 1, 60, &d->fps) ? CMD_OK : CMD_USAGE;
        else if (c == MODELS)
            d->models = optarg;
        else if (c == STATE)
            d->keep_folder = optarg;
        else if (c == HEADLESS)
            d->headless = true;
        else if (c == JSON)
            d->json = true;
        else if (c == 'h') {
            print_help();
            return -1;
        } else
            bad = cmd_usage(NAME, c == ':' ? "%s needs a value" : "there is no option %s",
                            argv[optind - 1]);
    }
    if (bad == CMD_OK && optind < argc)
        bad = cmd_usage(NAME, "'%s' is not an option", argv[optind]);
    return bad;
}

/* Both models in this folder? */
static bool models_in(struct demo *d, const char *folder)
{
    int a = snprintf(d->student, sizeof d->student, "%s/town-student.onnx", folder);
    int b = snprintf(d->teacher, sizeof d->teacher, "%s/town-teacher.onnx", folder);
    return a > 0 && b > 0 && (size_t)b < sizeof d->teacher && access(d->student, R_OK) == 0 &&
           access(d->teacher, R_OK) == 0;
}

static enum status find_models(struct demo *d, struct error *err)
{
    if (d->models) {
        if (models_in(d, d->models))
            return ST_OK;
        return error_set(err, ST_NOT_FOUND, "%s holds no town-student.onnx and town-teacher.onnx",
                         d->models);
    }
    char program[PATH_MAX - 64];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    /* In a build folder of the source tree; installed; beside the program; here. */
    static const char *const places[] = {"/../../../models", "/../share/attune/models", "/models"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof folder, "%s%s", program, places[i]);
        if (models_in(d, folder))
            return ST_OK;
    }
    if (models_in(d, "models"))
        return ST_OK;
    return error_set(err, ST_NOT_FOUND,
                     "town-student.onnx and town-teacher.onnx are not where this program was built "
                     "or installed; say --models DIR");
}

static enum status make_folder(struct demo *d, struct error *err)
{
    if (d->keep_folder) {
        snprintf(d->folder, sizeof d->folder, "%.*s", PATH_MAX - 64, d->keep_folder);
        return file_mkdirs(d->folder, err);
    }
    const char *tmp = getenv("TMPDIR");
    snprintf(d->folder, sizeof d->folder, "%.*s/attune-demo-XXXXXX", PATH_MAX - 64,
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(d->folder)) {
        error_set(err, ST_IO, "cannot make a folder %s: %s", d->folder, strerror(errno));
        d->folder[0] = '\0';
        return ST_IO;
    }
    return ST_OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    (void)remove(path);
    return 0;
}

static void remove_folder(struct demo *d)
{
    if (d->folder[0] && !d->keep_folder)
        (void)nftw(d->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void log_path(const struct demo *d, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/%s.log", PATH_MAX - 64, d->folder, name);
}

/* The end of a child's log, for whoever has to find out why it died. */
static void show_log(const struct demo *d, const char *name)
{
    char path[PATH_MAX];
    log_path(d, name, path);
    struct buf log;
    buf_init(&log);
    if (file_read(path, BUF_BYTES_MAX, &log, NULL) == ST_OK && log.size_bytes > 0) {
        size_t n = log.size_bytes < LOG_TAIL_BYTES ? log.size_bytes : LOG_TAIL_BYTES;
        fprintf(stderr, "the end of %s's log:\n%.*s\n", name, (int)n,
                (const char *)log.data + log.size_bytes - n);
    }
    buf_clear(&log);
}

static void on_server_line(void *context, const char *line)
{
    struct demo *d = context;
    (void)(sscanf(line, "attune server: https port %d", &d->https_port) == 1 ||
           sscanf(line, "attune server: http port %d", &d->http_port) == 1);
}

static void on_camera_line(void *context, const char *line)
{
    demo_camera_line(context, line);
}

static enum status start(struct demo *d, struct child *c, const char *name, char *const *argv,
                         struct error *err)
{
    char path[PATH_MAX];
    log_path(d, name, path);
    return child_start(c, argv, &(struct child_options){.log_path = path}, err);
}

static enum status start_server(struct demo *d, struct error *err)
{
    char state[PATH_MAX];
    snprintf(state, sizeof state, "%.*s/server", PATH_MAX - 64, d->folder);
    /* Short windows: three minutes are a short time. */
    char *const argv[] = {(char[]){"attune"},
                          (char[]){"server"},
                          (char[]){"--state"},
                          state,
                          (char[]){"--student"},
                          d->student,
                          (char[]){"--teacher"},
                          d->teacher,
                          (char[]){"--listen"},
                          (char[]){"127.0.0.1:0"},
                          (char[]){"--auth"},
                          (char[]){"false"},
                          (char[]){"--http"},
                          (char[]){"127.0.0.1:0"},
                          (char[]){"--chunk-s"},
                          (char[]){"4"},
                          (char[]){"--period-s"},
                          (char[]){"4"},
                          (char[]){"--frames-min"},
                          (char[]){"6"},
                          (char[]){"--group-window-s"},
                          (char[]){"8"},
                          (char[]){"--group-frames"},
                          (char[]){"8"},
                          NULL};
    enum status st = start(d, &d->server, "server", argv, err);
    uint64_t until_us = clock_mono_us() + SERVER_START_US;
    while (st == ST_OK && (!d->http_port || !d->https_port)) {
        child_read_lines(&d->server, on_server_line, d);
        if (atomic_load(&interrupted))
            return error_set(err, ST_END, "stopped");
        if (!child_runs(&d->server) || clock_mono_us() > until_us) {
            show_log(d, "server");
            return error_set(err, ST_INTERNAL, "the server did not start");
        }
        clock_sleep_until_us(clock_mono_us() + 50000);
    }
    return st;
}

static enum status start_camera(struct demo *d, int i, const struct town_camera_info *place,
                                struct error *err)
{
    char source[256], server[64], ca[PATH_MAX], state[PATH_MAX], seconds[32];
    snprintf(source, sizeof source,
             "town:scenario=demo,camera=%d,cameras=%d,districts=%d,seed=1,width=320,height=192,"
             "fps=%g,seconds=%.0f",
             i, DEMO_CAMERAS, DISTRICTS, d->fps, d->seconds + 600);
    snprintf(server, sizeof server, "https://127.0.0.1:%d", d->https_port);
    snprintf(ca, sizeof ca, "%.*s/server/tls/cert.pem", PATH_MAX - 64, d->folder);
    snprintf(state, sizeof state, "%.*s/%s", PATH_MAX - 64, d->folder, camera_ids[i]);
    snprintf(seconds, sizeof seconds, "%g", d->seconds);
    char id[CHILD_LINE_BYTES_MAX / 64], latitude[32], longitude[32];
    snprintf(id, sizeof id, "%s", camera_ids[i]);
    snprintf(latitude, sizeof latitude, "%.7f", (double)place->y_m / TOWN_DEGREE_M);
    snprintf(longitude, sizeof longitude, "%.7f", (double)place->x_m / TOWN_DEGREE_M);
    char *const argv[] = {(char[]){"attune"},
                          (char[]){"camera"},
                          (char[]){"--source"},
                          source,
                          (char[]){"--student"},
                          d->student,
                          (char[]){"--server"},
                          server,
                          (char[]){"--ca"},
                          ca,
                          (char[]){"--id"},
                          id,
                          (char[]){"--latitude"},
                          latitude,
                          (char[]){"--longitude"},
                          longitude,
                          (char[]){"--state"},
                          state,
                          (char[]){"--seconds"},
                          seconds,
                          (char[]){"--results"},
                          (char[]){"-"},
                          (char[]){"--score"},
                          (char[]){"--json"},
                          NULL};
    return start(d, &d->camera_process[i], camera_ids[i], argv, err);
}

/* Where the cameras of the town stand. */
static enum status find_places(struct town_camera_info places[DEMO_CAMERAS], struct error *err)
{
    struct town_options o;
    struct town *t;
    town_options_init(&o);
    o.cameras = DEMO_CAMERAS;
    o.districts = DISTRICTS;
    enum status st = town_open(&o, &t, err);
    if (st != ST_OK)
        return st;
    for (int i = 0; i < DEMO_CAMERAS; i++)
        town_camera_info(t, i, &places[i]);
    town_close(&t);
    return ST_OK;
}

static enum status start_cameras(struct demo *d, struct error *err)
{
    struct town_camera_info places[DEMO_CAMERAS];
    enum status st = find_places(places, err);
    for (int i = 0; st == ST_OK && i < DEMO_CAMERAS; i++)
        st = start_camera(d, i, &places[i], err);
    return st;
}

/* Waits for output of the cameras, a tenth of a second at most. */
static void wait_for_output(struct demo *d)
{
    struct pollfd fds[DEMO_CAMERAS];
    for (int i = 0; i < DEMO_CAMERAS; i++)
        fds[i] = (struct pollfd){.fd = d->camera_process[i].out_fd, .events = POLLIN};
    (void)poll(fds, DEMO_CAMERAS, 100);
}

/* Reads the cameras' lines; true while one of them runs. */
static bool follow_cameras(struct demo *d)
{
    bool any = false;
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        struct child *c = &d->camera_process[i];
        any |= child_runs(c); /* first: what it wrote before its end is then there */
        child_read_lines(c, on_camera_line, &d->cameras[i]);
    }
    return any;
}

static enum status watch(struct demo *d, struct error *err)
{
    uint64_t drawn_us = 0, until_us = d->start_us + d->view.total_us + CAMERA_LATE_US;
    while (follow_cameras(d) && !atomic_load(&interrupted)) {
        uint64_t now_us = clock_mono_us();
        if (now_us - drawn_us >= DRAW_US) {
            demo_view_draw(&d->view, d->cameras, now_us);
            drawn_us = now_us;
        }
        if (!child_runs(&d->server)) {
            show_log(d, "server");
            return error_set(err, ST_INTERNAL, "the server ended before its time");
        }
        if (now_us > until_us)
            return error_set(err, ST_INTERNAL, "a camera did not end in time");
        wait_for_output(d);
    }
    demo_view_draw(&d->view, d->cameras, clock_mono_us());
    return ST_OK;
}

/* GET of the server's interface; NULL when there is no JSON to be had. */
static json_t *get_json(const struct demo *d, const char *path)
{
    char url[64];
    json_t *json;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", d->http_port);
    return fetch_json(&(struct fetch_server){.url = url}, path, &json, NULL) == ST_OK ? json : NULL;
}

/* Mean of column `key` over the rows of the last minute; NaN for none. */
static double minute_mean(const json_t *series, const char *key)
{
    const json_t *t_us = json_object_get(series, "t_us"), *values = json_object_get(series, key);
    size_t n = json_array_size(t_us), used = 0;
    double sum = 0;
    json_int_t newest_us = n > 0 ? json_integer_value(json_array_get(t_us, n - 1)) : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(values, i);
        if (!json_is_number(v) ||
            newest_us - json_integer_value(json_array_get(t_us, i)) > 60000000)
            continue;
        sum += json_number_value(v);
        used++;
    }
    return used > 0 ? sum / (double)used : NAN;
}

static void ask_teacher(struct demo *d)
{
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        char path[128];
        snprintf(path, sizeof path, "/v1/cameras/%s/series", camera_ids[i]);
        json_t *series = get_json(d, path);
        d->cameras[i].teacher = minute_mean(series, "miou");
        d->cameras[i].teacher_unadapted = minute_mean(series, "miou_unadapted");
        json_decref(series);
    }
}

static void stop_all(struct demo *d)
{
    for (int i = 0; i < DEMO_CAMERAS; i++) /* together first: they need not wait in turn */
        if (child_runs(&d->camera_process[i]))
            kill(d->camera_process[i].pid, SIGTERM);
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        child_stop(&d->camera_process[i], CAMERA_STOP_US, on_camera_line, &d->cameras[i]);
        child_read_lines(&d->camera_process[i], on_camera_line, &d->cameras[i]);
        child_clear(&d->camera_process[i]);
    }
    child_stop(&d->server, SERVER_STOP_US, on_server_line, d);
    child_clear(&d->server);
}

static void fell_short(struct demo *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void fell_short(struct demo *d, const char *format, ...)
{
    size_t n = strlen(d->reasons);
    n += (size_t)snprintf(d->reasons + n, sizeof d->reasons - n, "%s", n > 0 ? " " : "");
    if (n >= sizeof d->reasons)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(d->reasons + n, sizeof d->reasons - n, format, args);
    va_end(args);
}

static void judge_camera(struct demo *d, const struct demo_camera *c)
{
    if (!c->finished) {
        fell_short(d, "Camera %s gave no summary.", c->id);
        return;
    }
    double points = (c->exact - c->exact_unadapted) * 100;
    if (!(points >= -WORSE_MAX))
        fell_short(d, "Camera %s is %.1f points worse than without adaptation.", c->id, -points);
    if (!(c->up_kbps <= KBPS_MAX && c->down_kbps <= KBPS_MAX))
        fell_short(d, "Camera %s used %.0f kbit/s up and %.0f down, at most %.0f were promised.",
                   c->id, c->up_kbps, c->down_kbps, KBPS_MAX);
    if (!(c->latency_p95_ms <= LATENCY_P95_MS_MAX))
        fell_short(d, "Camera %s took %.1f ms from picture to labels (p95), %.0f were promised.",
                   c->id, c->latency_p95_ms, LATENCY_P95_MS_MAX);
    if (c->dropped_by_swap > 0)
        fell_short(d, "Camera %s dropped %" PRIu64 " frames while its model changed.", c->id,
                   c->dropped_by_swap);
}

static enum status run(struct demo *d, struct error *err)
{
    enum status st = start_server(d, err);
    if (st == ST_OK)
        st = start_cameras(d, err);
    if (st != ST_OK)
        return st;
    snprintf(d->view.page, sizeof d->view.page, "http://127.0.0.1:%d/", d->http_port);
    if (d->view.to)
        fprintf(d->view.to,
                "\n  A server, eight cameras and a town on this machine. It is a clear day; dusk, "
                "night and rain\n  are on their way. Watch the pictures, who learns with whom, and "
                "the reasons: %s\n\n",
                d->view.page);
    else if (!d->json)
        fprintf(stderr, "page: %s\n", d->view.page);
    d->start_us = d->view.start_us = d->view.line_us = clock_mono_us();
    d->view.total_us = (uint64_t)(d->seconds * 1e6);
    st = watch(d, err);
    if (st == ST_OK) {
        ask_teacher(d);
        d->groups = get_json(d, "/v1/groups");
    }
    return st;
}

static void judge_all(struct demo *d)
{
    double points = 0;
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        const struct demo_camera *c = &d->cameras[i];
        judge_camera(d, c);
        points += (c->exact - c->exact_unadapted) * 100 / DEMO_CAMERAS;
    }
    if (!(points >= POINTS_MIN))
        fell_short(d,
                   "The cameras are %.1f points better than without adaptation on average, %.0f "
                   "were promised.",
                   points, POINTS_MIN);
}

static int conclude(struct demo *d)
{
    double elapsed_s = (double)(clock_mono_us() - d->start_us) / 1e6;
    if (atomic_load(&interrupted))
        fell_short(d, "It was stopped early.");
    judge_all(d);
    if (d->json)
        demo_print_json(stdout, d->cameras, d->groups, elapsed_s, d->reasons);
    else
        demo_print_table(stdout, d->cameras, d->groups);
    if (!d->reasons[0])
        return CMD_OK;
    fprintf(stderr, "attune demo fell short: %s\n", d->reasons);
    for (int i = 0; i < DEMO_CAMERAS; i++)
        if (!d->cameras[i].finished)
            show_log(d, camera_ids[i]);
    return CMD_NO;
}

/* Town, camera and network of 18 frames/s take about a third of a processor. */
static double carried_fps(void)
{
    double fps = 18.0 / DEMO_CAMERAS * (double)sysconf(_SC_NPROCESSORS_ONLN);
    return fmin(fmax(fps, 4), 12);
}

int cmd_demo(int argc, char **argv)
{
    static struct demo d;
    d = (struct demo){.seconds = 180, .fps = carried_fps()};
    int bad = parse_options(&d, argc, argv);
    if (bad != CMD_OK)
        return bad == -1 ? CMD_OK : bad;
    child_init(&d.server);
    for (int i = 0; i < DEMO_CAMERAS; i++) {
        child_init(&d.camera_process[i]);
        demo_camera_init(&d.cameras[i], camera_ids[i]);
    }
    d.view.to = d.headless ? NULL : stderr;
    d.view.terminal = isatty(STDERR_FILENO);
    struct sigaction stop = {.sa_handler = on_signal};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    struct error err;
    enum status st = find_models(&d, &err);
    if (st == ST_OK)
        st = make_folder(&d, &err);
    if (st == ST_OK)
        st = run(&d, &err);
    stop_all(&d);
    int status = st == ST_OK ? conclude(&d) : cmd_fail(NAME, &err);
    remove_folder(&d);
    json_decref(d.groups);
    return status;
}
