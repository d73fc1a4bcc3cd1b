/* mqtt_address.h - where a broker is: HOST, HOST:PORT, [V6]:PORT, with mqtt:// or mqtts:// before
 * it (mqtts: TLS; the ports are 1883 and 8883 where none is given). User and password are settings
 * of their own: an address that holds any is refused. */
#ifndef ATTUNE_NOTIFY_MQTT_ADDRESS_H
#define ATTUNE_NOTIFY_MQTT_ADDRESS_H

#include <stdbool.h>

#include "base/error.h"

#define MQTT_HOST_CHARS_MAX 255

struct mqtt_address {
    char host[MQTT_HOST_CHARS_MAX + 1];
    int port;
    bool tls;
};

enum status mqtt_address_read(const char *text, struct mqtt_address *ret, struct error *err);

/* A prefix of topics: letters, digits, _ - . and / between words; 1 to 63 characters. */
bool mqtt_prefix_is_valid(const char *text);

#endif
