/* enroll.h - `attune camera enroll`. */
#ifndef ATTUNE_CMD_ENROLL_H
#define ATTUNE_CMD_ENROLL_H

int cmd_camera_enroll(int argc, char **argv);

#endif
