/* uplink_probe - the two ends and the judge of bench/uplink.sh: cameras that send through the
 * production client, a server that only counts, and a table of who got how much.
 *
 *   uplink_probe sink ADDRESS:PORT FOLDER START SECONDS    HTTPS with the server's own certificate
 *       (FOLDER/tls); writes FOLDER/bytes.csv: second, camera, bytes, every half second
 *   uplink_probe camera URL FOLDER ID WEIGHT LAW EXPONENT START FROM UNTIL CHUNK_S
 *       LAW price, aimd or none (plain TCP); always has something to send between FROM and UNTIL
 *   uplink_probe link NAMESPACE NAMESPACE MS               a cable between two network namespaces
 *       that takes MS each way: toserver in the first, tosite in the second, until it is ended
 *   uplink_probe report OUT.png LINK_KBPS NAME=FOLDER...   runs of one name are averaged
 *
 * START is a Unix time in seconds; FROM and UNTIL count from it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <math.h>
#include <microhttpd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/csv.h"
#include "base/rng.h"
#include "eval/plot.h"
#include "server/tls.h"
#include "uplink/client.h"

#define CAMERAS_MAX 8
#define BIN_US 500000
#define BINS_MAX 4000
#define CHUNK_BYTES_MIN 4000.0
#define CHUNK_BYTES_MAX (4 << 20)
#define RUNS_MAX 64

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "uplink_probe: %s\n", what);
    exit(2);
}

static void check(enum status st, const struct error *err)
{
    if (st != ST_OK)
        fail(err->message);
}

static uint64_t since_us(double start_s)
{
    double us = (double)clock_wall_us() - start_s * 1e6;
    return us > 0 ? (uint64_t)us : 0;
}

static void sleep_until(double start_s, double at_s)
{
    double left_us = (start_s + at_s) * 1e6 - (double)clock_wall_us();
    if (left_us > 0)
        clock_sleep_until_us(clock_mono_us() + (uint64_t)left_us);
}

/* ---- sink ---- */

struct sink {
    double start_s;
    pthread_mutex_t mutex;
    uint64_t bytes[BINS_MAX][CAMERAS_MAX];
};

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request)
{
    static int known;
    struct sink *s = context;
    int camera = -1;
    (void)method;
    (void)version;
    if (!*request) { /* the head only: the body follows */
        *request = &known;
        return MHD_YES;
    }
    (void)sscanf(url, "/v1/cameras/camera-%d/", &camera);
    if (*size > 0) {
        uint64_t bin = since_us(s->start_s) / BIN_US;
        if (camera >= 0 && camera < CAMERAS_MAX && bin < BINS_MAX && data) {
            pthread_mutex_lock(&s->mutex);
            s->bytes[bin][camera] += *size;
            pthread_mutex_unlock(&s->mutex);
        }
        *size = 0;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(2, (void *)(uintptr_t) "{}", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result done = MHD_queue_response(connection, 201, r);
    MHD_destroy_response(r);
    return done;
}

static void write_bytes(const struct sink *s, const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bytes.csv", folder);
    FILE *f = fopen(path, "w");
    if (!f)
        fail("cannot write bytes.csv");
    fputs("second,camera,bytes\n", f);
    for (int b = 0; b < BINS_MAX; b++)
        for (int c = 0; c < CAMERAS_MAX; c++)
            if (s->bytes[b][c] > 0)
                fprintf(f, "%.1f,%d,%" PRIu64 "\n", b * BIN_US / 1e6, c, s->bytes[b][c]);
    if (fclose(f) != 0)
        fail("cannot write bytes.csv");
}

static struct sockaddr_in address_of(const char *text)
{
    char host[64];
    unsigned port;
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &a.sin_addr) != 1)
        fail("the sink listens at an IPv4 ADDRESS:PORT");
    a.sin_port = htons((uint16_t)port);
    return a;
}

static void run_sink(char **arg)
{
    static struct sink s = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct sockaddr_in address = address_of(arg[0]);
    struct buf cert, key;
    struct error err;
    char hex[65];
    uint8_t pin[32];
    buf_init(&cert);
    buf_init(&key);
    s.start_s = atof(arg[2]);
    check(tls_load(arg[1], clock_wall_us(), &cert, &key, hex, pin, &err), &err);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_TLS, 0, NULL,
        NULL, on_request, &s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_HTTPS_MEM_CERT, (char *)cert.data, MHD_OPTION_HTTPS_MEM_KEY, (char *)key.data,
        MHD_OPTION_END);
    if (!d)
        fail("cannot listen");
    sleep_until(s.start_s, atof(arg[3]));
    MHD_stop_daemon(d);
    write_bytes(&s, arg[1]);
    buf_clear(&cert);
    buf_clear(&key);
}

/* ---- link ---- */

#define PACKET_BYTES_MAX 2048
#define ON_THE_WAY_MAX 1024

struct packet {
    uint64_t due_us;
    ssize_t size;
    uint8_t bytes[PACKET_BYTES_MAX];
};

/* One direction: packets leave it in the order in which they came. */
struct way {
    struct packet packets[ON_THE_WAY_MAX];
    int first, count;
};

static int open_end(const char *space, const char *name)
{
    char path[128];
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(path, sizeof path, "/var/run/netns/%s", space);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    if (there < 0 || setns(there, CLONE_NEWNET) != 0)
        fail("cannot enter the namespace");
    close(there);
    int end = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (end < 0 || ioctl(end, TUNSETIFF, &request) != 0)
        fail("cannot make an end of the link");
    return end;
}

static void take(struct way *w, int from, uint64_t due_us)
{
    while (w->count < ON_THE_WAY_MAX) {
        struct packet *p = &w->packets[(w->first + w->count) % ON_THE_WAY_MAX];
        p->size = read(from, p->bytes, sizeof p->bytes);
        if (p->size <= 0)
            return;
        p->due_us = due_us;
        w->count++;
    }
}

static void give(struct way *w, int to, uint64_t now_us)
{
    while (w->count > 0 && w->packets[w->first].due_us <= now_us) {
        const struct packet *p = &w->packets[w->first];
        /* An end that is not up, or full, drops it, as any cable's would. */
        (void)!write(to, p->bytes, (size_t)p->size);
        w->first = (w->first + 1) % ON_THE_WAY_MAX;
        w->count--;
    }
}

_Noreturn static void run_link(char **arg)
{
    static struct way up, down;
    uint64_t delay_us = (uint64_t)(atof(arg[2]) * 1e3);
    int site = open_end(arg[0], "toserver"), server = open_end(arg[1], "tosite");
    struct pollfd ends[] = {{.fd = site, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    for (;;) {
        (void)poll(ends, 2, up.count + down.count > 0 ? 1 : 1000);
        uint64_t now_us = clock_mono_us();
        take(&up, site, now_us + delay_us);
        take(&down, server, now_us + delay_us);
        give(&up, server, now_us);
        give(&down, site, now_us);
    }
}

/* ---- camera ---- */

/* As a camera would: as much as the rate carries in a chunk's time. */
static size_t chunk_bytes(const struct client *c, double chunk_s)
{
    struct client_pacing p;
    client_pacing_get(c, &p);
    double kbps = p.rate_kbps > 0 ? p.rate_kbps : 500;
    return (size_t)fmin(fmax(kbps * 125 * chunk_s, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX);
}

static void run_camera(char **arg)
{
    static uint8_t noise[CHUNK_BYTES_MAX];
    struct gaimd_options law;
    struct client_options o;
    struct client *c;
    struct error err;
    struct rng rng;
    char ca[4096], id[32];
    double start_s = atof(arg[6]), until_s = atof(arg[8]);
    rng_init(&rng, (uint64_t)atoi(arg[2]), 0);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(255.9f * rng_float(&rng));
    snprintf(ca, sizeof ca, "%s/tls/cert.pem", arg[1]);
    snprintf(id, sizeof id, "camera-%s", arg[2]);
    gaimd_options_init(&law);
    client_options_init(&o);
    o.url = arg[0];
    o.camera_id = id;
    o.ca_path = ca;
    o.insecure = true; /* the certificate names the host, not the namespace's address */
    law.weight = atof(arg[3]);
    law.law = gaimd_law_parse(arg[4]);
    law.exponent = atof(arg[5]);
    check(client_open(&o, &c, &err), &err);
    client_pace(c, law.law ? &law : NULL);
    sleep_until(start_s, atof(arg[7]));
    for (uint64_t seq = 1; (double)since_us(start_s) / 1e6 < until_s; seq++) {
        struct client_put put;
        enum status st = client_put_chunk(c, seq, noise, chunk_bytes(c, atof(arg[9])), &put, &err);
        if (st != ST_OK) {
            fprintf(stderr, "%s: %s\n", id, err.message);
            clock_sleep_until_us(clock_mono_us() + 200000);
        }
        struct client_pacing p;
        client_pacing_get(c, &p);
        if (getenv("UPLINK_PROBE_SAY"))
            fprintf(stderr, "%.1f %s rate %.0f goodput %.0f queue %.0f ms base %.0f ms\n",
                    (double)since_us(start_s) / 1e6, id, p.rate_kbps, p.goodput_kbps,
                    p.queue_s * 1e3, p.base_s * 1e3);
    }
    client_close(&c);
}

/* ---- report ---- */

struct run {
    double kbps[BINS_MAX][CAMERAS_MAX];
    int bins;
};

/* When what is measured; as bench/uplink.sh has it. The fifth camera is there in the second. */
static const struct phase {
    const char *name;
    double from_s, until_s;
    int cameras;
} phases[] = {{"four cameras", 20, 60, 4},
              {"a fifth has joined", 80, 110, 5},
              {"the fifth has left", 130, 160, 4}};
static const double weights[] = {1, 2, 3, 4, 2};

#define PHASES ((int)(sizeof phases / sizeof phases[0]))

static void read_run(const char *folder, struct run *r)
{
    char path[4096];
    struct csv table;
    struct error err;
    *r = (struct run){0};
    snprintf(path, sizeof path, "%s/bytes.csv", folder);
    check(csv_open(path, &table, &err), &err);
    for (int i = 0; i < table.row_count; i++) {
        double second, bytes;
        int camera;
        check(csv_number(&table, i, 0, 0, 1e6, &second, &err), &err);
        check(csv_whole(&table, i, 1, 0, CAMERAS_MAX - 1, &camera, &err), &err);
        check(csv_number(&table, i, 2, 0, 1e12, &bytes, &err), &err);
        int bin = (int)lround(second * 1e6 / BIN_US);
        if (bin < BINS_MAX) {
            r->kbps[bin][camera] = bytes * 8e3 / BIN_US;
            r->bins = bin + 1 > r->bins ? bin + 1 : r->bins;
        }
    }
    csv_clear(&table);
}

static double mean_kbps(const struct run *r, int camera, double from_s, double until_s)
{
    int from = (int)(from_s * 1e6 / BIN_US), until = (int)(until_s * 1e6 / BIN_US);
    double sum = 0;
    for (int b = from; b < until && b < r->bins; b++)
        sum += r->kbps[b][camera];
    return sum / (until - from);
}

/* Means of the runs named `name`; the exit status asks for the first phase of the first name. */
static bool report_phase(const struct run *runs, int count, const struct phase *p, double link_kbps,
                         double *ret_worst)
{
    double kbps[CAMERAS_MAX] = {0}, total = 0, weight = 0, worst = 0, least_used = 1e9;
    for (int k = 0; k < count; k++) {
        double sum = 0;
        for (int c = 0; c < p->cameras; c++) {
            double v = mean_kbps(&runs[k], c, p->from_s, p->until_s);
            kbps[c] += v / count;
            sum += v;
        }
        least_used = fmin(least_used, sum / link_kbps);
    }
    for (int c = 0; c < p->cameras; c++) {
        total += kbps[c];
        weight += weights[c];
    }
    printf("| %s |", p->name);
    for (int c = 0; c < 5; c++) {
        double share = kbps[c] / total, due = weights[c] / weight;
        if (c < p->cameras)
            printf(" %.3f (%.3f) |", share, due);
        else
            printf(" |");
        if (c < p->cameras)
            worst = fmax(worst, fabs(share / due - 1));
    }
    printf(" %.1f %% | %.1f %% | %.1f %% |\n", 100 * worst, 100 * total / link_kbps,
           100 * least_used);
    *ret_worst = worst;
    return worst <= 0.15 && total / link_kbps >= 0.85;
}

/* Means over DRAWN_BINS: what arrives comes in TLS records of 16 KiB. */
#define DRAWN_BINS 8

static void draw(const struct run *r, const char *path)
{
    static double x[BINS_MAX / DRAWN_BINS], y[CAMERAS_MAX][BINS_MAX / DRAWN_BINS];
    struct plot_series series[5];
    char names[5][32];
    struct error err;
    int count = r->bins / DRAWN_BINS;
    for (int c = 0; c < 5; c++) {
        for (int i = 0; i < count; i++) {
            double from_s = i * DRAWN_BINS * BIN_US / 1e6;
            x[i] = from_s + DRAWN_BINS * BIN_US / 2e6;
            y[c][i] = mean_kbps(r, c, from_s, from_s + DRAWN_BINS * BIN_US / 1e6);
        }
        snprintf(names[c], sizeof names[c], "weight %.0f%s", weights[c], c == 4 ? ", joins" : "");
        series[c] =
            (struct plot_series){.name = names[c], .x = x, .y = y[c], .count = (size_t)count};
    }
    struct plot_options o;
    plot_options_init(&o);
    o.title = "five cameras, one link";
    o.y_label = "kbit/s";
    o.y_min = 0;
    check(plot_png_file(series, 5, &o, path, &err), &err);
}

static bool is_named(const char *argument, const char *name, size_t n)
{
    return strncmp(argument, name, n) == 0 && argument[n] == '=';
}

static bool report_name(const char *name, size_t n, int argc, char **argv, double link_kbps,
                        const char *png)
{
    static struct run runs[RUNS_MAX];
    int count = 0;
    double worst;
    for (int i = 0; i < argc && count < RUNS_MAX; i++)
        if (is_named(argv[i], name, n))
            read_run(argv[i] + n + 1, &runs[count++]);
    printf("\n%.*s, means of %d runs: share (due)\n\n", (int)n, name, count);
    printf("| | 1 | 2 | 3 | 4 | fifth, 2 | furthest off | link used | least of a run |\n");
    printf("|---|---|---|---|---|---|---|---|---|\n");
    bool good = true;
    for (int p = 0; p < PHASES; p++)
        good &= report_phase(runs, count, &phases[p], link_kbps, &worst);
    if (png)
        draw(&runs[0], png);
    return good;
}

/* 0: the first name keeps to its weights within 15 % and uses 85 % of the link, in all phases. */
static int run_report(int argc, char **argv)
{
    bool good = true;
    double link_kbps = atof(argv[1]);
    for (int i = 2; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (!equals)
            fail("the report wants NAME=FOLDER");
        size_t n = (size_t)(equals - argv[i]);
        bool seen = false;
        for (int k = 2; k < i; k++)
            seen |= is_named(argv[k], argv[i], n);
        if (seen)
            continue;
        bool kept = report_name(argv[i], n, argc - 2, argv + 2, link_kbps, i == 2 ? argv[0] : NULL);
        good &= i > 2 || kept;
    }
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "sink") == 0)
        run_sink(argv + 2);
    else if (argc == 12 && strcmp(argv[1], "camera") == 0)
        run_camera(argv + 2);
    else if (argc == 5 && strcmp(argv[1], "link") == 0)
        run_link(argv + 2);
    else if (argc >= 5 && strcmp(argv[1], "report") == 0)
        return run_report(argc - 2, argv + 2);
    else
        fail("sink, camera or report; see bench/uplink.sh");
    return 0;
}
