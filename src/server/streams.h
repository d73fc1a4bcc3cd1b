/* streams.h - cameras that only stream: the server runs an agent for each, as a process of its own.
 *
 * A camera of the configuration file that has a source gets a child, `attune camera`, which
 * decodes, infers, samples, uploads and updates like one with a computer at the camera, over a
 * loopback address of this server. What goes wrong in one (a decoder's crash, memory, a URL that
 * does not answer) costs that camera alone: it is started again after a wait that doubles up to
 * STREAM_WAIT_MAX_US, with an event that says why when the reason is a new one. A child that runs
 * but tells nothing for STREAM_SILENT_US is ended, too. A file that has come to its end is played
 * again.
 *
 * Events: stream_failed (its process ended), stream_lost (the source does not deliver; the child
 * opens it again by itself), stream_back.
 *
 * A reload of the configuration is followed camera by camera: who is new starts, who is gone ends
 * in order (what it uploaded stays), whose process needs it starts anew. All others are not
 * touched.
 *
 * Owns:    the processes, STATE/streams/ID of each, a thread.
 * Threads: open and close from one.
 * Time:    base/clock.h.
 */
#ifndef ATTUNE_SERVER_STREAMS_H
#define ATTUNE_SERVER_STREAMS_H

#include "server/node.h"

#define STREAM_WAIT_FIRST_US ((uint64_t)1000000)
#define STREAM_WAIT_MAX_US ((uint64_t)60 * 1000000)
#define STREAM_STEADY_US                                                                           \
    ((uint64_t)60 * 1000000) /* what ran so long starts over with the waits                        \
                              */
#define STREAM_SILENT_US ((uint64_t)120 * 1000000)
#define STREAM_STOP_US ((uint64_t)5 * 1000000)

struct streams;

/* *ret is NULL when the server has no address for its children (server->local): no camera has a
 * source and none can get one. */
enum status streams_open(struct server *server, struct streams **ret, struct error *err);
/* Waits for the end of the children (SIGTERM, then SIGKILL after STREAM_STOP_US). Call bell_stop
 * before. s may be NULL. */
void streams_stop(struct streams *s);
void streams_close(struct streams **s); /* after a streams_stop, or with one */

/* Whether any camera of the configuration has a source. */
bool streams_wanted(const struct camera_list *cameras);

#define STREAM_REASON_CHARS_MAX 200

struct stream_view {
    int pid; /* 0: no process now (tests kill it) */
    uint64_t starts;
    char reason[STREAM_REASON_CHARS_MAX + 1]; /* why it is down, "" when it is not */
};

/* From any thread. False: the server runs no process for that camera; s may be NULL. */
bool streams_look(struct streams *s, const char *camera, struct stream_view *ret);

#endif
