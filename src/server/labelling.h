/* labelling.h - the thread that gives uploaded frames their labels and scores. Internal.
 *
 * Oldest chunk first: decode, teacher's classes, the student's under the version that the camera
 * reported and as its file has it, scores over the last 10 s (AMS's metric, prequential), the
 * label file, then the rows. After each training period it also adapts the camera's sampling rate
 * (train/asr.h).
 *
 * Threads: labelling_preview from any; its own thread at nice +5.
 */
#ifndef ATTUNE_SERVER_LABELLING_H
#define ATTUNE_SERVER_LABELLING_H

#include "server/node.h"

/* Opens the sessions and starts the thread (unless options.no_label_thread). ST_UNSUPPORTED when
 * student and teacher do not fit. */
enum status labelling_open(struct server *s, struct labelling **ret, struct error *err);

/* Call bell_stop first; returns after the frame at hand. */
void labelling_close(struct labelling **l);

enum preview_view { PREVIEW_IMAGE = 1, PREVIEW_STUDENT, PREVIEW_TEACHER };

/* Appends a JPEG of the camera's newest labelled frame to *out. ST_NOT_FOUND when there is none
 * yet. */
enum status labelling_preview(struct labelling *l, const char *camera, enum preview_view view,
                              struct buf *out, struct error *err);

/* The same of a frame whose chunk is still stored. ST_NOT_FOUND: it is not any more. */
enum status labelling_kept(struct labelling *l, const char *camera, const struct store_frame *f,
                           enum preview_view view, struct buf *out, struct error *err);

#endif
