#include "video/input.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <libavdevice/avdevice.h>

#include "video/picture.h"

#define DEVICE_PREFIX "v4l2:"
#define HOST_BYTES 256
/* What comes in so long says codec, size and frame rate of a live stream. */
#define ANALYSE_US 5000000
/* Of a UDP socket: a key frame arrives as a burst. The kernel gives what it is allowed to. */
#define UDP_BUFFER_BYTES (1 << 20)

static bool starts_with(const char *url, const char *prefix)
{
    return strncmp(url, prefix, strlen(prefix)) == 0;
}

enum input_kind input_kind(const char *url)
{
    if (starts_with(url, "/dev/video") || starts_with(url, "/dev/v4l/") ||
        starts_with(url, DEVICE_PREFIX))
        return INPUT_DEVICE;
    if (starts_with(url, "rtsp://") || starts_with(url, "rtsps://"))
        return INPUT_RTSP;
    if (starts_with(url, "http://") || starts_with(url, "https://"))
        return INPUT_HTTP;
    return strstr(url, "://") && !starts_with(url, "file:") ? INPUT_NETWORK : INPUT_FILE;
}

bool input_is_tls(const char *url)
{
    return starts_with(url, "rtsps://") || starts_with(url, "https://");
}

static void set_for_device(const struct video_source_options *o, AVDictionary **settings)
{
    char text[32];
    if (o->width > 0) {
        snprintf(text, sizeof text, "%dx%d", o->width, o->height);
        av_dict_set(settings, "video_size", text, 0);
    }
    if (o->fps > 0) {
        snprintf(text, sizeof text, "%g", o->fps);
        av_dict_set(settings, "framerate", text, 0);
    }
}

/* Lost UDP packets are damaged pictures, so UDP is for those who want it or have nothing else:
 * libavformat asks for the next transport when the server answers 461. Beside TLS they would come
 * unencrypted. */
static void set_for_rtsp(const char *url, const struct video_source_options *o,
                         AVDictionary **settings)
{
    static const char *const names[] = {[VIDEO_TRANSPORT_AUTO] = "udp+tcp",
                                        [VIDEO_TRANSPORT_TCP] = "tcp",
                                        [VIDEO_TRANSPORT_UDP] = "udp"};
    enum video_transport transport = input_is_tls(url) ? VIDEO_TRANSPORT_TCP : o->transport;
    av_dict_set(settings, "rtsp_transport", names[transport], 0);
    if (transport == VIDEO_TRANSPORT_AUTO)
        av_dict_set(settings, "rtsp_flags", "prefer_tcp", 0);
    if (transport != VIDEO_TRANSPORT_TCP)
        av_dict_set_int(settings, "buffer_size", UDP_BUFFER_BYTES, 0);
}

/* What goes by another way than the relay would be checked by nobody. */
static void set_for_relay(const char *host, AVDictionary **settings)
{
    char header[2 * HOST_BYTES];
    snprintf(header, sizeof header, "Host: %s\r\n", host);
    av_dict_set(settings, "headers", header, 0);
    av_dict_set(settings, "rtsp_transport", "tcp", 0);
    av_dict_set(settings, "protocol_whitelist", "http,tcp", 0);
}

int input_open(const char *url, const char *host, const struct video_source_options *o,
               AVFormatContext **f, void (*arm)(void *context, uint64_t more_us), void *context)
{
    AVDictionary *settings = NULL;
    const AVInputFormat *device = NULL;
    enum input_kind kind = input_kind(url);
    if (kind == INPUT_DEVICE) {
        avdevice_register_all();
        set_for_device(o, &settings);
        device = av_find_input_format("video4linux2");
        (*f)->flags |= AVFMT_FLAG_NONBLOCK; /* a blocking read would not see the deadline */
        url += starts_with(url, DEVICE_PREFIX) ? strlen(DEVICE_PREFIX) : 0;
    } else if (kind == INPUT_RTSP) {
        set_for_rtsp(url, o, &settings);
    }
    if (host)
        set_for_relay(host, &settings);
    arm(context, 0);
    int rc = avformat_open_input(f, url, device, &settings);
    av_dict_free(&settings);
    if (rc < 0)
        return rc;
    /* An interrupted read leaves interleaved RTSP in midst of a packet, and is no error here. */
    (*f)->max_analyze_duration = ANALYSE_US;
    arm(context, ANALYSE_US);
    rc = avformat_find_stream_info(*f, NULL);
    if (rc >= 0 && (*f)->interrupt_callback.callback((*f)->interrupt_callback.opaque))
        rc = AVERROR_EXIT;
    if (rc < 0)
        avformat_close_input(f);
    return rc;
}

/* ---- what went wrong ---- */

struct sentence {
    int code;
    enum status status;
    const char *text;
};

static const struct sentence of_peers[] = {
    {AVERROR_HTTP_UNAUTHORIZED, ST_DENIED,
     "user or password refused; give the right ones in a credentials file (or in the URL)"},
    {AVERROR_HTTP_FORBIDDEN, ST_DENIED,
     "this user may not see the stream (403); permit it in the camera's own settings"},
    {AVERROR_HTTP_NOT_FOUND, ST_NOT_FOUND,
     "there is no such stream (404); check the path in the URL"},
    {AVERROR_HTTP_BAD_REQUEST, ST_NETWORK, "the camera does not understand the request (400)"},
    {AVERROR_HTTP_OTHER_4XX, ST_NETWORK, "the camera refuses (4xx); check the URL"},
    {AVERROR_HTTP_SERVER_ERROR, ST_NETWORK, "the camera reports an error of its own (5xx)"},
    {AVERROR(ECONNREFUSED), ST_NETWORK,
     "connection refused: nothing listens there; check address and port, and that it is switched "
     "on"},
    {AVERROR(EHOSTUNREACH), ST_NETWORK, "the host cannot be reached; check address and network"},
    {AVERROR(ENETUNREACH), ST_NETWORK, "the network cannot be reached; check address and network"},
    {AVERROR(ETIMEDOUT), ST_NETWORK, "no answer; check address and network"},
    {AVERROR(ECONNRESET), ST_NETWORK, "the other side closed the connection"},
    {AVERROR(EPIPE), ST_NETWORK, "the other side closed the connection"},
    {AVERROR_EOF, ST_NETWORK, "the other side closed the connection"},
    {AVERROR_INVALIDDATA, ST_FORMAT, "what comes is no video; check the URL"},
    {AVERROR_PROTOCOL_NOT_FOUND, ST_UNSUPPORTED,
     "no such kind of URL; known are rtsp, rtsps, http, https, files and /dev/videoN"},
};

static const struct sentence of_devices[] = {
    {AVERROR(ENOENT), ST_NOT_FOUND,
     "there is no such device; is the camera plugged in? `ls /dev/v4l/by-id` lists those that are"},
    {AVERROR(ENODEV), ST_NOT_FOUND, "the device is gone; is the camera plugged in?"},
    {AVERROR(ENXIO), ST_NOT_FOUND, "the device is gone; is the camera plugged in?"},
    {AVERROR(EBUSY), ST_CONFLICT, "another program uses the device; end that one first"},
    {AVERROR(EACCES), ST_DENIED, "no permission; add the user that runs attune to the group video"},
    {AVERROR(EPERM), ST_DENIED, "no permission; add the user that runs attune to the group video"},
    {AVERROR(ENOTTY), ST_UNSUPPORTED, "it is no V4L2 camera"},
    {AVERROR(EINVAL), ST_UNSUPPORTED,
     "the camera has no such picture size or frame rate; `v4l2-ctl --list-formats-ext` lists them"},
};

/* libavformat says "input/output error" of a name that cannot be resolved. */
static bool host_is_unknown(const char *url, char host[HOST_BYTES])
{
    struct addrinfo *found = NULL;
    av_url_split(NULL, 0, NULL, 0, host, HOST_BYTES, NULL, NULL, 0, url);
    if (!host[0])
        return false;
    int rc = getaddrinfo(host, NULL, &(struct addrinfo){.ai_socktype = SOCK_STREAM}, &found);
    if (found)
        freeaddrinfo(found);
    return rc == EAI_NONAME || rc == EAI_AGAIN || rc == EAI_FAIL;
}

static const struct sentence *find(const struct sentence *all, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        if (all[i].code == code)
            return &all[i];
    return NULL;
}

static enum status peer_error(const char *url, const char *shown,
                              const struct video_source_options *o, int code, const char *what,
                              struct error *err)
{
    char host[HOST_BYTES] = "";
    if (code == AVERROR(EPROTONOSUPPORT) && o->transport == VIDEO_TRANSPORT_AUTO)
        return error_set(err, ST_UNSUPPORTED,
                         "%s %s: the camera sends neither by TCP nor by UDP; allow RTP over TCP "
                         "(interleaved) in its settings",
                         what, shown);
    if (code == AVERROR(EPROTONOSUPPORT))
        return error_set(err, ST_UNSUPPORTED,
                         "%s %s: the camera does not send by %s; leave `transport` at auto", what,
                         shown, o->transport == VIDEO_TRANSPORT_UDP ? "UDP" : "TCP");
    if (code == AVERROR(EIO) && host_is_unknown(url, host))
        return error_set(err, ST_NETWORK,
                         "%s %s: the host '%s' is not known; check its name, or give its address",
                         what, shown, host);
    return error_set(err, ST_NETWORK, "%s %s: the connection failed (%s)", what, shown,
                     av_err2str(code));
}

enum status input_error(const char *url, const char *shown, const struct video_source_options *o,
                        int code, const char *what, struct error *err)
{
    enum input_kind kind = input_kind(url);
    const struct sentence *s = NULL;
    if (kind == INPUT_DEVICE)
        s = find(of_devices, sizeof of_devices / sizeof of_devices[0], code);
    else if (kind != INPUT_FILE || code == AVERROR_PROTOCOL_NOT_FOUND)
        s = find(of_peers, sizeof of_peers / sizeof of_peers[0], code);
    if (s)
        return error_set(err, s->status, "%s %s: %s", what, shown, s->text);
    char text[2 * HOST_BYTES];
    snprintf(text, sizeof text, "%s %s", what, shown);
    enum status st = libav_error(err, code, text);
    bool peer = kind != INPUT_DEVICE && kind != INPUT_FILE;
    return peer && st == ST_IO ? peer_error(url, shown, o, code, what, err) : st;
}
