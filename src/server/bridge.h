/* bridge.h - the server at an MQTT broker: events, states and Home Assistant's discovery go out,
 * commands come in (docs/integrations.md has the topics).
 *
 * Owns:    one thread, the MQTT client (notify/mqtt.h) with its own.
 * Threads: open and close from one; counts from any. Whoever rings the bell never waits for it.
 * Bounds:  cameras_max cameras, BRIDGE_COMMANDS_MAX commands that wait; more are refused.
 */
#ifndef ATTUNE_SERVER_BRIDGE_H
#define ATTUNE_SERVER_BRIDGE_H

#include "notify/mqtt.h"
#include "server/node.h"

#define BRIDGE_COMMANDS_MAX 64
#define BRIDGE_STATE_US ((uint64_t)10 * 1000000) /* states are published so often at least */
#define BRIDGE_SOON_US ((uint64_t)250000)        /* and after an event */

struct bridge;

/* *ret is NULL when the settings name no broker. A broker that is away is no error. */
enum status bridge_open(struct server *s, struct bridge **ret, struct error *err);
/* Call bell_stop before. */
void bridge_close(struct bridge **b);

void bridge_counts(struct bridge *b, struct mqtt_counts *ret);

#endif
