/* What anybody at the broker can send: topic, a newline, payload. Commands that are read name a
 * possible camera and nothing else; the first line as a broker's address and as a prefix, too. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "notify/command.h"
#include "notify/mqtt_address.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_command(const char *topic, const uint8_t *payload, size_t n)
{
    struct command c;
    struct error err = {0};
    if (command_read("attune", topic, payload, n, &c, &err) != ST_OK) {
        for (const char *t = err.message; *t; t++)
            assert(*t >= ' ' && *t <= '~');
        assert(err.message[0]);
        return;
    }
    assert(store_camera_id_valid(c.camera));
    assert(c.kind >= COMMAND_LEARNING && c.kind <= COMMAND_MODEL);
    assert(strncmp(topic, "attune/", 7) == 0 && strstr(topic, "/set"));
}

static void check_address(const char *text)
{
    struct mqtt_address a;
    if (mqtt_address_read(text, &a, NULL) == ST_OK) {
        assert(a.host[0] && strlen(a.host) <= MQTT_HOST_CHARS_MAX);
        assert(a.port >= 1 && a.port <= 65535 && !strpbrk(a.host, "/@ \n"));
    }
    if (mqtt_prefix_is_valid(text))
        assert(!strpbrk(text, "#+ $") && strlen(text) <= 63);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    size_t topic_bytes = end ? (size_t)(end - data) : n;
    char *topic = malloc(topic_bytes + 1);
    if (!topic)
        return 0;
    if (topic_bytes)
        memcpy(topic, data, topic_bytes);
    topic[topic_bytes] = '\0';
    const uint8_t *payload = end ? end + 1 : data + n;
    check_command(topic, payload, n - topic_bytes - (end != NULL));
    check_address(topic);
    free(topic);
    return 0;
}
