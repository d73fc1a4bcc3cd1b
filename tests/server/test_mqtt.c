/* The server at a real mosquitto, seen by a real client: what is retained, what events say, that
 * commands are obeyed, and that a broker may come and go. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "broker.h"
#include "kit.h"
#include "notify/command.h"
#include "notify/mqtt.h"
#include "notify/mqtt_address.h"
#include "notify/outbox.h"
#include "server/bridge.h"
#include "server/tls.h"

static struct kit *kit;
static struct broker broker;
static uint64_t seq;

static void use_broker(struct settings *s)
{
    snprintf(s->mqtt, sizeof s->mqtt, "%s", broker.address);
    snprintf(s->mqtt_user, sizeof s->mqtt_user, BROKER_USER);
    snprintf(s->mqtt_password_file, sizeof s->mqtt_password_file, "%s", broker.password_file);
}

static int setup(void **state)
{
    (void)state;
    kit = kit_open();
    broker_init(&broker, kit->dir);
    broker_start(&broker);
    use_broker(&kit->options.settings);
    kit_trains(kit, "round-robin", 1, 2);
    kit->options.version = "1.2.3";
    kit_start_trained(kit, "gate", &seq);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    broker_stop(&broker);
    kit_close(&kit);
    return 0;
}

static void drop(char *text)
{
    free(text);
}

static json_t *await_json(struct listener *l, const char *topic, const char *part, size_t after)
{
    char *text = listener_await(l, topic, part, after, NULL);
    json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!o)
        fail_msg("%s has no JSON: %s", topic, text);
    free(text);
    return o;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *t = json_string_value(json_object_get(o, key));
    if (!t)
        fail_msg("there is no '%s'", key);
    return t;
}

/* ---- what is retained ---- */

/* What is retained of the camera is what the interface says of it: at once, or when next told. */
static void await_state_of_now(struct listener *l)
{
    uint64_t until_us = clock_mono_us() + 60000000;
    for (bool same = false; !same; kit_pause()) {
        json_t *now = kit_json(kit, "/v1/cameras/gate", 200);
        json_t *o = await_json(l, "attune/gate/state", "\"updated\":\"20", 0);
        assert_string_equal(text_of(o, "id"), "gate");
        same = json_is_number(json_object_get(o, "accuracy_unadapted")) &&
               json_equal(json_object_get(o, "accuracy"), json_object_get(now, "accuracy")) &&
               json_equal(json_object_get(o, "group"), json_object_get(now, "group"));
        json_decref(o);
        json_decref(now);
        assert_true(clock_mono_us() < until_us);
    }
}

static void states_are_retained(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    drop(listener_await(l, "attune/available", "online", 0, NULL));
    drop(listener_await(l, "attune/gate/available", "online", 0, NULL));
    drop(listener_await(l, "attune/gate/learning/state", "ON", 0, NULL));
    drop(listener_await(l, "attune/gate/drift/state", "OFF", 0, NULL));
    drop(listener_await(l, "attune/gate/model/state", "", 0, NULL));
    await_state_of_now(l);
    json_t *o = await_json(l, "attune/stats", "", 0);
    assert_string_equal(text_of(o, "status"), "ok");
    assert_int_equal(json_integer_value(json_object_get(o, "cameras")), 1);
    json_decref(o);
    listener_close(&l);
}

struct found {
    struct listener *listener;
    json_t *ids; /* unique_id: topic */
    int components;
};

static void check_topic(struct listener *l, const json_t *o, const char *key)
{
    const char *topic = json_string_value(json_object_get(o, key));
    if (topic)
        drop(listener_await(l, topic, "", 0, NULL));
}

static void check_entity(void *context, const char *topic, const char *payload, bool retained)
{
    struct found *f = context;
    json_t *o = json_loads(payload, JSON_REJECT_DUPLICATES, NULL);
    const json_t *a;
    size_t i;
    assert_non_null(o);
    assert_true(retained);
    assert_true(strlen(topic) > 7 && strcmp(topic + strlen(topic) - 7, "/config") == 0);
    const char *id = text_of(o, "unique_id");
    assert_null(json_object_get(f->ids, id));
    json_object_set_new(f->ids, id, json_string(topic));
    text_of(o, "name");
    /* "object_id", which it takes the place of, is refused since Home Assistant 2026.4. */
    assert_null(json_object_get(o, "object_id"));
    const char *entity = text_of(o, "default_entity_id"), *component = topic + 14;
    size_t n = strcspn(component, "/"); /* of homeassistant/COMPONENT/... */
    assert_true(strncmp(entity, component, n) == 0 &&
                strncmp(entity + n, ".attune_gate_", 13) == 0);
    const json_t *device = json_object_get(o, "device");
    assert_int_equal(json_array_size(json_object_get(device, "identifiers")), 1);
    assert_string_equal(text_of(device, "sw_version"), "1.2.3");
    assert_string_equal(text_of(json_object_get(o, "origin"), "name"), "attune");
    assert_string_equal(text_of(o, "availability_mode"), "all");
    assert_int_equal(json_array_size(json_object_get(o, "availability")), 2);
    json_array_foreach(json_object_get(o, "availability"), i, a)
        check_topic(f->listener, a, "topic");
    check_topic(f->listener, o, "state_topic");
    check_topic(f->listener, o, "json_attributes_topic");
    bool button = strstr(topic, "/button/") != NULL, knob = strstr(topic, "/switch/") != NULL;
    assert_true(button == !json_object_get(o, "state_topic"));
    assert_true((button || knob) == (json_object_get(o, "command_topic") != NULL));
    f->components |= button ? 1 : knob ? 2 : strstr(topic, "/binary_sensor/") ? 4 : 8;
    json_decref(o);
}

static void home_assistant_finds_the_camera(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    struct found f = {l, json_object(), 0};
    drop(listener_await(l, "homeassistant/switch/attune/gate_learning/config", "", 0, NULL));
    listener_each(l, "homeassistant/", check_entity, &f);
    assert_int_equal(json_object_size(f.ids), 10);
    assert_int_equal(f.components, 15);
    /* When Home Assistant has started again it says so, and is told again. */
    size_t before = listener_count(l);
    listener_publish(l, "homeassistant/status", "online", false);
    drop(listener_await(l, "homeassistant/sensor/attune/gate_accuracy/config", "", before, NULL));
    drop(listener_await(l, "attune/gate/state", "", before, NULL));
    json_decref(f.ids);
    listener_close(&l);
}

/* ---- events ---- */

static void report(const char *drift)
{
    char body[512];
    struct answer a = {0};
    int n = snprintf(body, sizeof body,
                     "{\"rate\":1,\"resolution\":1,\"share\":null,\"demand\":0.25,\"factor\":1,"
                     "\"frames\":1,\"held\":0,\"skipped\":0,\"source\":\"\",\"note\":\"\","
                     "\"points\":[],\"drift\":%s}",
                     drift);
    kit_ask(kit, "PUT", "/v1/cameras/gate/inference", body, (size_t)n, &a);
    if (a.status != 204)
        fail_msg("%ld %s", a.status, (const char *)a.body.data);
    answer_clear(&a);
}

static void changes_have_before_and_after(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    size_t at = listener_count(l);
    report("{\"kind\":\"blind\",\"t_us\":1795299806000000,\"since_us\":1795299790000000,"
           "\"score\":1.5,\"text\":\"nothing but black\",\"signature\":null}");
    json_t *o = await_json(l, "attune/events", "\"type\":\"new\"", at);
    assert_true(json_is_null(json_object_get(o, "before")));
    assert_string_equal(text_of(json_object_get(o, "after"), "kind"), "blind");
    assert_string_equal(text_of(json_object_get(o, "after"), "camera"), "gate");
    json_decref(o);
    drop(listener_await(l, "attune/gate/drift/state", "ON", at, NULL));
    o = await_json(l, "attune/drift", "io.attune.camera.fault.v1", at);
    assert_string_equal(text_of(o, "specversion"), "1.0");
    assert_string_equal(text_of(o, "source"), "attune/attune");
    assert_string_equal(text_of(o, "subject"), "camera/gate");
    assert_string_equal(text_of(json_object_get(o, "data"), "fault"), "blind");
    assert_true(strlen(text_of(o, "time")) == 27 && strlen(text_of(o, "id")) > 0);
    json_decref(o);
    at = listener_count(l);
    report("{\"kind\":\"dirty\",\"t_us\":1795299816000000,\"since_us\":1795299810000000,"
           "\"score\":1.1,\"text\":\"a third is covered\",\"signature\":null}");
    o = await_json(l, "attune/events", "\"type\":\"update\"", at);
    assert_string_equal(text_of(json_object_get(o, "before"), "kind"), "blind");
    assert_string_equal(text_of(json_object_get(o, "after"), "kind"), "dirty");
    json_decref(o);
    at = listener_count(l);
    report("null");
    o = await_json(l, "attune/events", "\"type\":\"end\"", at);
    assert_string_equal(text_of(json_object_get(o, "before"), "kind"), "dirty");
    assert_true(json_is_null(json_object_get(o, "after")));
    json_decref(o);
    drop(listener_await(l, "attune/gate/drift/state", "OFF", at, NULL));
    listener_close(&l);
}

static void trainings_are_told(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    size_t at = listener_count(l);
    json_int_t version = kit_version(kit, "gate");
    kit_upload(kit, "gate", &seq);
    kit_await_version(kit, "gate", version + 1);
    json_t *o = await_json(l, "attune/retrain", "io.attune.retrain.accepted.v1", at);
    assert_true(json_integer_value(json_object_get(json_object_get(o, "data"), "version")) >
                version);
    json_decref(o);
    listener_close(&l);
}

/* ---- commands ---- */

static bool is_paused(void)
{
    json_t *o = kit_json(kit, "/v1/cameras/gate", 200);
    bool paused = json_is_true(json_object_get(o, "paused"));
    json_decref(o);
    return paused;
}

static void commands_are_obeyed(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    size_t at = listener_count(l);
    listener_publish(l, "attune/gate/learning/set", "OFF", false);
    drop(listener_await(l, "attune/gate/learning/state", "OFF", at, NULL));
    assert_true(is_paused());
    drop(listener_await(l, "attune/camera", "io.attune.camera.paused.v1", at, NULL));
    at = listener_count(l);
    listener_publish(l, "attune/gate/learning/set", "perhaps", false);
    listener_publish(l, "attune/../gate/learning/set", "ON", false);
    listener_publish(l, "attune/nobody/learning/set", "ON", false);
    listener_publish(l, "attune/gate/model/set", "-1", false);
    listener_publish(l, "attune/gate/learning/set", "on", false);
    drop(listener_await(l, "attune/gate/learning/state", "ON", at, NULL));
    assert_false(is_paused());
    listener_close(&l);
}

static void a_kept_command_is_old_news(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    listener_publish(l, "attune/gate/learning/set", "OFF", true);
    size_t at;
    drop(listener_await(l, "attune/gate/learning/state", "OFF", 0, &at));
    listener_publish(l, "attune/gate/learning/set", "ON", false);
    drop(listener_await(l, "attune/gate/learning/state", "ON", at, NULL));
    /* The broker gives a new connection the kept OFF: nobody meant it now. */
    listener_close(&l);
    kit_stop(kit);
    kit_start(kit);
    l = listener_open(&broker);
    drop(listener_await(l, "attune/available", "online", 0, NULL));
    drop(listener_await(l, "attune/gate/learning/state", "ON", 0, NULL));
    listener_publish(l, "attune/gate/retrain/set", "PRESS", false);
    drop(listener_await(l, "attune/retrain", "io.attune.retrain.asked.v1", 0, NULL));
    assert_false(is_paused());
    listener_publish(l, "attune/gate/learning/set", "", true); /* nothing is kept any more */
    listener_close(&l);
}

/* ---- going back ---- */

static bool same_weights(json_int_t a, json_int_t b)
{
    size_t n = nn_model_param_count(kit->server->student) * sizeof(float);
    float *of_a = malloc(n), *of_b = malloc(n);
    assert_non_null(of_a);
    assert_non_null(of_b);
    assert_int_equal(server_version_params(kit->server, "gate", (uint64_t)a, of_a, NULL), ST_OK);
    assert_int_equal(server_version_params(kit->server, "gate", (uint64_t)b, of_b, NULL), ST_OK);
    bool same = memcmp(of_a, of_b, n) == 0;
    free(of_a);
    free(of_b);
    return same;
}

static void publish_version(struct listener *l, json_int_t version)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)version);
    listener_publish(l, "attune/gate/model/set", text, false);
}

/* A version that never was is refused; the one before comes back with its weights, under a new
 * number that the event, the camera's topic and the server agree on. */
static void a_model_goes_back(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    json_int_t first = kit_version(kit, "gate");
    kit_upload(kit, "gate", &seq);
    kit_await_version(kit, "gate", first + 1);
    listener_publish(l, "attune/gate/learning/set", "OFF", false);
    drop(listener_await(l, "attune/gate/learning/state", "OFF", 0, NULL));
    json_int_t last = kit_version(kit, "gate"), made;
    assert_false(same_weights(first, last));
    size_t at = listener_count(l);
    publish_version(l, 999);
    publish_version(l, first);
    json_t *o = await_json(l, "attune/model", "io.attune.model.rolled_back.v1", at);
    const json_t *data = json_object_get(o, "data");
    assert_string_equal(text_of(data, "by"), "mqtt");
    assert_string_equal(text_of(data, "group"), "gate");
    assert_int_equal(json_integer_value(json_object_get(data, "to")), first);
    made = json_integer_value(json_object_get(data, "version"));
    assert_true(made > last && kit_version(kit, "gate") == made);
    assert_true(same_weights(first, made));
    json_decref(o);
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)made);
    drop(listener_await(l, "attune/gate/model/state", text, at, NULL));
    listener_publish(l, "attune/gate/learning/set", "ON", false);
    drop(listener_await(l, "attune/gate/learning/state", "ON", at, NULL));
    listener_close(&l);
}

/* ---- brokers that come and go ---- */

static double metric(const char *name)
{
    struct answer a = {0};
    kit_ask(kit, "GET", "/metrics", NULL, 0, &a);
    const char *at = strstr((const char *)a.body.data, name);
    double v = at ? strtod(at + strlen(name), NULL) : -1;
    answer_clear(&a);
    return v;
}

static void a_broker_that_restarts_is_told_again(void **state)
{
    (void)state;
    uint64_t until_us = clock_mono_us() + 60000000;
    assert_true(metric("\nattune_mqtt_connected ") == 1);
    broker_stop(&broker);
    while (metric("\nattune_mqtt_connected ") != 0) {
        assert_true(clock_mono_us() < until_us);
        kit_pause();
    }
    kit_hello(kit, "yard"); /* nothing waits for the broker */
    broker_start(&broker);
    struct listener *l = listener_open(&broker);
    drop(listener_await(l, "attune/available", "online", 0, NULL));
    drop(listener_await(l, "attune/gate/state", "", 0, NULL));
    drop(listener_await(l, "attune/yard/available", "online", 0, NULL));
    drop(listener_await(l, "homeassistant/switch/attune/gate_learning/config", "", 0, NULL));
    assert_true(metric("\nattune_mqtt_connections_total ") >= 2);
    assert_true(metric("\nattune_queue_limit{queue=\"mqtt\"} ") == MQTT_MESSAGES_MAX);
    listener_close(&l);
}

static void stopping_says_offline(void **state)
{
    (void)state;
    struct listener *l = listener_open(&broker);
    drop(listener_await(l, "attune/available", "online", 0, NULL));
    kit_stop(kit);
    drop(listener_await(l, "attune/available", "offline", 0, NULL));
    listener_close(&l);
}

static void without_a_broker_the_server_runs(void **state)
{
    (void)state;
    struct kit *alone = kit_open();
    snprintf(alone->options.settings.mqtt, 64, "127.0.0.1:1");
    alone->options.no_worker = true;
    kit_start(alone);
    kit_hello(alone, "gate");
    kit_close(&alone);
    struct error err = {0};
    alone = kit_open();
    snprintf(alone->options.settings.mqtt, 64, "ann:secret@host");
    assert_int_equal(server_open(&alone->options, &alone->server, &err), ST_INVALID);
    assert_null(strstr(err.message, "secret"));
    kit_close(&alone);
}

static int start_server(const char *state_dir)
{
    const char *program = getenv("ATTUNE_PROGRAM");
    const struct settings *s = &kit->options.settings;
    assert_non_null(program);
    int pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(program, "attune", "server", "--student", s->student, "--teacher", s->teacher,
              "--state", state_dir, "--auth", "false", "--listen", "off", "--http", "127.0.0.1:0",
              "--log-level", "error", "--mqtt", broker.address, "--mqtt-user", BROKER_USER,
              "--mqtt-password-file", broker.password_file, "--mqtt-prefix", "site/north",
              "--mqtt-client-id", "north", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void a_killed_server_has_a_last_will(void **state)
{
    (void)state;
    char dir[160];
    snprintf(dir, sizeof dir, "%s/north", kit->dir);
    struct listener *l = listener_open(&broker);
    int pid = start_server(dir);
    drop(listener_await(l, "site/north/available", "online", 0, NULL));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    drop(listener_await(l, "site/north/available", "offline", 0, NULL));
    listener_close(&l);
    l = listener_open(&broker); /* retained: who comes later sees it, too */
    drop(listener_await(l, "site/north/available", "offline", 0, NULL));
    listener_close(&l);
}

/* The server's own camera process tells it, so every frame that is due is there. */
static void what_a_camera_sees_is_told(void **state)
{
    (void)state;
    static const char cameras[] = "cameras: {seen: {source: \"town:width=64,height=64,fps=20\"}}\n";
    struct kit *streaming = kit_open();
    struct server_options *o = &streaming->options;
    use_broker(&o->settings);
    snprintf(o->settings.mqtt_client_id, 64, "streaming");
    snprintf(o->settings.mqtt_prefix, 64, "streaming");
    o->settings.mqtt_results_fps = 10;
    kit_streams(streaming);
    o->no_worker = true;
    kit_cameras(streaming, cameras);
    struct listener *l = listener_open(&broker);
    kit_start(streaming);
    drop(listener_await(l, "streaming/agent/seen/available", "online", 0, NULL));
    size_t at;
    drop(listener_await(l, "streaming/seen/detections", "", 0, &at));
    json_t *m = await_json(l, "streaming/seen/detections", "", at);
    const json_t *classes = json_object_get(m, "classes"), *part;
    const char *name;
    double sum = 0;
    json_object_foreach((json_t *)(uintptr_t)classes, name, part) sum += json_number_value(part);
    assert_true(sum > 0.99 && sum < 1.01);
    assert_string_equal(text_of(m, "camera"), "seen");
    assert_true(json_is_integer(json_object_get(m, "frame")));
    json_decref(m);
    kit_stop(streaming);
    drop(listener_await(l, "streaming/agent/seen/available", "offline", 0, NULL));
    kit_close(&streaming);
    listener_close(&l);
}

/* ---- TLS ---- */

/* A certificate of its own in the folder; ca (160 bytes): its path. */
static void make_certificate(const char *folder, char *ca)
{
    struct buf cert, key;
    struct error err = {0};
    char hex[65];
    uint8_t of_key[32];
    buf_init(&cert);
    buf_init(&key);
    if (tls_load(folder, clock_wall_us(), &cert, &key, hex, of_key, &err) != ST_OK)
        fail_msg("%s", err.message);
    snprintf(ca, 160, "%s/tls/cert.pem", folder);
    buf_clear(&cert);
    buf_clear(&key);
}

static void start_secure(struct broker *b, const char *folder, char *ca)
{
    char path[200];
    make_certificate(folder, ca);
    broker_init(b, folder);
    snprintf(path, sizeof path, "%s/mosquitto.conf", folder);
    FILE *f = fopen(path, "ae");
    assert_non_null(f);
    fprintf(f, "certfile %s\nkeyfile %s/tls/key.pem\n", ca, folder);
    fclose(f);
    broker_start(b);
}

struct outcome {
    pthread_mutex_t mutex;
    bool known, connected;
    char reason[256];
};

static void note_state(void *context, bool connected, const char *reason)
{
    struct outcome *o = context;
    pthread_mutex_lock(&o->mutex);
    if (!o->known) {
        o->connected = connected;
        snprintf(o->reason, sizeof o->reason, "%s", reason);
    }
    o->known = true;
    pthread_mutex_unlock(&o->mutex);
}

/* What the client's first try at the broker comes to. */
static void expect_connection(bool connected, const char *scheme, const struct broker *b,
                              const char *ca, bool insecure)
{
    struct outcome o = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct mqtt *m;
    struct error err = {0};
    char address[96];
    snprintf(address, sizeof address, "%s%s", scheme, b->address);
    const struct mqtt_options options = {.address = address,
                                         .user = BROKER_USER,
                                         .password_file = b->password_file,
                                         .ca_path = ca,
                                         .insecure = insecure,
                                         .client_id = "secure",
                                         .available_topic = "secure/available",
                                         .on_state = note_state,
                                         .context = &o};
    if (mqtt_open(&options, &m, &err) != ST_OK)
        fail_msg("%s", err.message);
    uint64_t until_us = clock_mono_us() + 60000000;
    for (bool known = false; !known; kit_pause()) {
        assert_true(clock_mono_us() < until_us);
        pthread_mutex_lock(&o.mutex);
        known = o.known;
        pthread_mutex_unlock(&o.mutex);
    }
    mqtt_close(&m);
    if (o.connected != connected)
        fail_msg("%s with %s: %s", address, ca, o.reason);
    assert_true(connected == !o.reason[0]);
    assert_null(strstr(o.reason, BROKER_PASSWORD));
}

static void a_broker_shows_its_certificate(void **state)
{
    (void)state;
    char folder[128], other[128], ca[160], other_ca[160];
    struct broker secure;
    snprintf(folder, sizeof folder, "%s/secure", kit->dir);
    snprintf(other, sizeof other, "%s/other", kit->dir);
    assert_int_equal(file_mkdirs(folder, NULL), ST_OK);
    assert_int_equal(file_mkdirs(other, NULL), ST_OK);
    start_secure(&secure, folder, ca);
    make_certificate(other, other_ca);
    expect_connection(true, "mqtts://", &secure, ca, false);
    expect_connection(false, "mqtts://", &secure, other_ca, false);
    expect_connection(false, "mqtts://", &secure, "", false); /* the system's */
    expect_connection(true, "mqtts://", &secure, other_ca, true);
    expect_connection(false, "mqtt://", &secure, "", false);
    expect_connection(false, "mqtts://", &broker, ca, false);
    expect_connection(true, "mqtt://", &broker, "", false);
    broker_stop(&secure);
}

/* ---- parts ---- */

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
        bool tls;
    } good[] = {{"broker", "broker", 1883, false},
                {"10.0.0.7:1884", "10.0.0.7", 1884, false},
                {"mqtt://broker.lan", "broker.lan", 1883, false},
                {"mqtts://broker.lan", "broker.lan", 8883, true},
                {"mqtts://[fe80::1%eth0]:99", "fe80::1%eth0", 99, true}};
    static const char *const bad[] = {"",           ":1883",   "host:",    "host:0",
                                      "host:99999", "host:1a", "ho st",    "http://host",
                                      "[::1",       "a@b",     "host:1/x", "mqtts://"};
    struct mqtt_address a;
    struct error err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(mqtt_address_read(good[i].text, &a, &err), ST_OK);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_int_equal(a.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(mqtt_address_read(bad[i], &a, &err), ST_INVALID);
}

static void a_full_outbox_forgets_the_oldest(void **state)
{
    (void)state;
    struct outbox *o;
    struct outbox_message m;
    struct outbox_counts n;
    assert_int_equal(outbox_open(3, 100, &o, NULL), ST_OK);
    for (int i = 0; i < 5; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        assert_true(outbox_put(o, "t", text, 1, 0, false));
    }
    assert_false(outbox_put(o, "t",
                            "0123456789012345678901234567890123456789"
                            "0123456789012345678901234567890123456789012345678901234567890",
                            101, 0, false));
    outbox_counts(o, &n);
    assert_int_equal(n.depth, 3);
    assert_int_equal(n.dropped, 3);
    assert_true(outbox_take(o, &m));
    assert_string_equal(m.payload, "c");
    outbox_message_clear(&m);
    assert_true(outbox_put(o, "t",
                           "0123456789012345678901234567890123456789"
                           "0123456789012345678901234567890123456789012345",
                           86, 1, true)); /* no room beside both others */
    outbox_counts(o, &n);
    assert_true(n.depth <= 3);
    outbox_close(&o);
}

int main(int argc, char **argv)
{
    int status;
    if (kit_is_worker(argc, argv, &status))
        return status;
    if (!broker_is_there()) {
        puts("no mosquitto: apt-get install mosquitto");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_retained),
        cmocka_unit_test(home_assistant_finds_the_camera),
        cmocka_unit_test(changes_have_before_and_after),
        cmocka_unit_test(trainings_are_told),
        cmocka_unit_test(commands_are_obeyed),
        cmocka_unit_test(a_kept_command_is_old_news),
        cmocka_unit_test(a_model_goes_back),
        cmocka_unit_test(a_broker_that_restarts_is_told_again),
        cmocka_unit_test(stopping_says_offline),
        cmocka_unit_test(without_a_broker_the_server_runs),
        cmocka_unit_test(a_killed_server_has_a_last_will),
        cmocka_unit_test(what_a_camera_sees_is_told),
        cmocka_unit_test(a_broker_shows_its_certificate),
        cmocka_unit_test(addresses),
        cmocka_unit_test(a_full_outbox_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
