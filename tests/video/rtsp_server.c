/* rtsp_server.c - an RTSP server (GStreamer's) that misbehaves on command.
 *
 *   rtsp_server [--auth basic|digest USER PASSWORD] [--tls CERT KEY] [--port N] PATH SPEC
 *     [PATH SPEC]...
 *
 * SPEC is KEY=VALUE,...: codec (h264, h265, jpeg, audio: no video, file: H.264 of location, in a
 * loop), size (WxH), fps, colour (red, green, blue, or another pattern of videotestsrc), transport
 * (tcp, udp, both), location.
 *
 * It prints "port N control M" when it listens, and obeys datagrams to 127.0.0.1:M, each answered
 * by "ok" or a sentence:
 *   stall PATH    connected, but no packet comes      go PATH    they come again
 *   jump PATH S   stamps leap by S seconds            resize PATH WxH   in midst of the stream
 *   drop          all connections are closed          change PATH SPEC  for whoever connects next
 *   freeze PATH   all stamps are the same
 *   later MS ...  one of these, after some milliseconds
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <gio/gio.h>
#include <gst/rtp/gstrtpbuffer.h>
#include <gst/rtsp-server/rtsp-server.h>

#define MOUNTS_MAX 32
#define RTP_CLOCK_HZ 90000
#define ROLE "viewer"

struct mount {
    char path[64], spec[512];
    gint stalled, jump_ticks, frozen; /* atomic; frozen: the stamp of all packets, 0: none */
    GWeakRef size;                    /* its caps filter, while somebody watches */
};

static struct mount mounts[MOUNTS_MAX];
static int mount_count;
static GstRTSPServer *server;
static GstRTSPAuth *auth; /* NULL: whoever asks may watch */
static gboolean secured;

/* The value of a key of a spec, or otherwise. Static: until the next call but three. */
static const char *value_of(const char *spec, const char *key, const char *otherwise)
{
    static char found[4][256];
    static int turn;
    size_t chars = strlen(key);
    for (const char *at = spec; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strncmp(at, key, chars) != 0 || at[chars] != '=')
            continue;
        char *ret = found[turn++ % 4];
        g_snprintf(ret, sizeof found[0], "%.*s", (int)strcspn(at + chars + 1, ","), at + chars + 1);
        return ret;
    }
    return otherwise;
}

static void pictures_of(const char *spec, char *ret, size_t size)
{
    int width = 320, height = 180;
    sscanf(value_of(spec, "size", "320x180"), "%dx%d", &width, &height);
    g_snprintf(ret, size,
               "videotestsrc is-live=true pattern=%s ! video/x-raw,format=I420,framerate=%s/1 ! "
               "videoscale ! capsfilter name=size caps=video/x-raw,width=%d,height=%d",
               value_of(spec, "colour", "red"), value_of(spec, "fps", "25"), width, height);
}

/* The pipeline in gst-launch's form; ends in an element pay0. */
static void pipeline_of(const char *spec, char *ret, size_t size)
{
    char pictures[512];
    const char *codec = value_of(spec, "codec", "h264");
    pictures_of(spec, pictures, sizeof pictures);
    if (strcmp(codec, "audio") == 0)
        g_snprintf(ret, size,
                   "( audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! "
                   "rtppcmapay name=pay0 )");
    else if (strcmp(codec, "jpeg") == 0)
        g_snprintf(ret, size, "( %s ! jpegenc ! rtpjpegpay name=pay0 )", pictures);
    else if (strcmp(codec, "h265") == 0)
        g_snprintf(ret, size,
                   "( %s ! x265enc speed-preset=ultrafast tune=zerolatency key-int-max=10 ! "
                   "rtph265pay name=pay0 config-interval=-1 )",
                   pictures);
    else if (strcmp(codec, "file") == 0)
        g_snprintf(
            ret, size,
            "( multifilesrc location=%s loop=true caps=video/x-h264,stream-format=byte-stream,"
            "framerate=%s/1 ! "
            "h264parse ! rtph264pay name=pay0 config-interval=-1 )",
            value_of(spec, "location", ""), value_of(spec, "fps", "5"));
    else
        g_snprintf(ret, size,
                   "( %s ! x264enc speed-preset=ultrafast tune=zerolatency threads=1 "
                   "key-int-max=10 ! rtph264pay name=pay0 config-interval=-1 )",
                   pictures);
}

/* ---- what happens to packets ---- */

static GstBuffer *jumped(GstBuffer *b, struct mount *m)
{
    guint32 ticks = (guint32)g_atomic_int_get(&m->jump_ticks);
    guint32 frozen = (guint32)g_atomic_int_get(&m->frozen);
    GstRTPBuffer rtp = GST_RTP_BUFFER_INIT;
    b = gst_buffer_make_writable(b);
    if (gst_rtp_buffer_map(b, GST_MAP_READWRITE, &rtp)) {
        guint32 stamp = gst_rtp_buffer_get_timestamp(&rtp) + ticks;
        gst_rtp_buffer_set_timestamp(&rtp, frozen ? frozen : stamp);
        gst_rtp_buffer_unmap(&rtp);
    }
    return b;
}

static gboolean jump_one(GstBuffer **b, guint index, gpointer m)
{
    (void)index;
    *b = jumped(*b, m);
    return TRUE;
}

static GstPadProbeReturn on_packet(GstPad *pad, GstPadProbeInfo *info, gpointer context)
{
    struct mount *m = context;
    (void)pad;
    if (g_atomic_int_get(&m->stalled))
        return GST_PAD_PROBE_DROP;
    bool changed = g_atomic_int_get(&m->jump_ticks) || g_atomic_int_get(&m->frozen);
    if (changed && info->type & GST_PAD_PROBE_TYPE_BUFFER_LIST) {
        GstBufferList *l = gst_buffer_list_make_writable(GST_PAD_PROBE_INFO_BUFFER_LIST(info));
        gst_buffer_list_foreach(l, jump_one, m);
        info->data = l;
    } else if (changed) {
        info->data = jumped(GST_PAD_PROBE_INFO_BUFFER(info), m);
    }
    return GST_PAD_PROBE_OK;
}

/* Of a file without a container, pictures have the times of decoding only. */
static GstPadProbeReturn on_picture(GstPad *pad, GstPadProbeInfo *info, gpointer context)
{
    GstBuffer *b = gst_buffer_make_writable(GST_PAD_PROBE_INFO_BUFFER(info));
    (void)pad;
    (void)context;
    if (!GST_BUFFER_PTS_IS_VALID(b))
        GST_BUFFER_PTS(b) = GST_BUFFER_DTS(b);
    info->data = b;
    return GST_PAD_PROBE_OK;
}

static void on_media(GstRTSPMediaFactory *factory, GstRTSPMedia *media, gpointer context)
{
    struct mount *m = context;
    (void)factory;
    GstElement *bin = gst_rtsp_media_get_element(media);
    GstElement *pay = gst_bin_get_by_name(GST_BIN(bin), "pay0");
    GstElement *size = gst_bin_get_by_name(GST_BIN(bin), "size");
    GstPad *pad = gst_element_get_static_pad(pay, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST, on_packet, m,
                      NULL);
    if (size) {
        g_weak_ref_set(&m->size, size);
        gst_object_unref(size);
    }
    GstPad *in = gst_element_get_static_pad(pay, "sink");
    gst_pad_add_probe(in, GST_PAD_PROBE_TYPE_BUFFER, on_picture, NULL, NULL);
    gst_object_unref(in);
    gst_object_unref(pad);
    gst_object_unref(pay);
    gst_object_unref(bin);
}

/* ---- what is served ---- */

static GstRTSPLowerTrans transports_of(const char *spec)
{
    const char *name = value_of(spec, "transport", "both");
    return strcmp(name, "tcp") == 0   ? GST_RTSP_LOWER_TRANS_TCP
           : strcmp(name, "udp") == 0 ? GST_RTSP_LOWER_TRANS_UDP
                                      : GST_RTSP_LOWER_TRANS_TCP | GST_RTSP_LOWER_TRANS_UDP;
}

static void mount_it(struct mount *m, const char *spec)
{
    char pipeline[1024];
    GstRTSPMountPoints *points = gst_rtsp_server_get_mount_points(server);
    GstRTSPMediaFactory *factory = gst_rtsp_media_factory_new();
    g_strlcpy(m->spec, spec, sizeof m->spec);
    pipeline_of(spec, pipeline, sizeof pipeline);
    gst_rtsp_media_factory_set_launch(factory, pipeline);
    gst_rtsp_media_factory_set_shared(factory, TRUE);
    gst_rtsp_media_factory_set_protocols(factory, transports_of(spec));
    if (secured)
        gst_rtsp_media_factory_add_role(factory, ROLE, GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                        G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                        G_TYPE_BOOLEAN, TRUE, NULL);
    g_signal_connect(factory, "media-configure", G_CALLBACK(on_media), m);
    gst_rtsp_mount_points_add_factory(points, m->path, factory);
    g_object_unref(points);
}

/* Who comes back at once would join the media of those who left while it ends, and the library has
 * an assertion against that. */
static void mount_anew(void)
{
    for (int i = 0; i < mount_count; i++) {
        char spec[sizeof mounts[i].spec];
        g_strlcpy(spec, mounts[i].spec, sizeof spec);
        mount_it(&mounts[i], spec);
    }
}

/* What whoever is let in may do; the server asks who that is from now on. */
static GstRTSPToken *viewer(void)
{
    if (!auth) {
        auth = gst_rtsp_auth_new();
        gst_rtsp_server_set_auth(server, auth);
    }
    secured = TRUE;
    return gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, ROLE, NULL);
}

static gboolean speak_tls(const char *cert_path, const char *key_path)
{
    GError *error = NULL;
    GTlsCertificate *cert = g_tls_certificate_new_from_files(cert_path, key_path, &error);
    if (!cert) {
        fprintf(stderr, "rtsp_server: %s\n", error->message);
        return FALSE;
    }
    GstRTSPToken *token = viewer();
    gst_rtsp_auth_set_default_token(auth, token); /* anybody, until --auth */
    gst_rtsp_auth_set_tls_certificate(auth, cert);
    gst_rtsp_token_unref(token);
    g_object_unref(cert);
    return TRUE;
}

static void ask_for(const char *kind, const char *user, const char *password)
{
    GstRTSPToken *token = viewer();
    gst_rtsp_auth_set_default_token(auth, NULL);
    if (strcmp(kind, "digest") == 0) {
        gst_rtsp_auth_set_supported_methods(auth, GST_RTSP_AUTH_DIGEST);
        gst_rtsp_auth_add_digest(auth, user, password, token);
    } else {
        gchar *basic = gst_rtsp_auth_make_basic(user, password);
        gst_rtsp_auth_add_basic(auth, basic, token);
        g_free(basic);
    }
    gst_rtsp_token_unref(token);
}

/* ---- commands ---- */

static GstRTSPFilterResult remove_client(GstRTSPServer *s, GstRTSPClient *c, gpointer context)
{
    (void)s;
    (void)c;
    (void)context;
    return GST_RTSP_FILTER_REMOVE;
}

static const char *resize(struct mount *m, const char *text)
{
    int width, height;
    GstElement *size = g_weak_ref_get(&m->size);
    if (sscanf(text, "%dx%d", &width, &height) != 2 || !size) {
        g_clear_object(&size);
        return "resize takes WxH, of a path that somebody watches";
    }
    GstCaps *caps = gst_caps_new_simple("video/x-raw", "width", G_TYPE_INT, width, "height",
                                        G_TYPE_INT, height, NULL);
    g_object_set(size, "caps", caps, NULL);
    gst_caps_unref(caps);
    g_object_unref(size);
    return "ok";
}

static const char *obey(char *line);

static gboolean obey_now(gpointer line)
{
    obey(line);
    g_free(line);
    return G_SOURCE_REMOVE;
}

static const char *obey(char *line)
{
    char *rest = NULL, *what = strtok_r(line, " \n", &rest), *path = strtok_r(NULL, " \n", &rest);
    struct mount *m = NULL;
    if (what && path && strcmp(what, "later") == 0) {
        g_timeout_add((guint)atoi(path), obey_now, g_strdup(rest));
        return "ok";
    }
    if (what && strcmp(what, "drop") == 0) {
        mount_anew();
        g_list_free_full(gst_rtsp_server_client_filter(server, remove_client, NULL),
                         g_object_unref);
        return "ok";
    }
    for (int i = 0; path && i < mount_count; i++)
        if (strcmp(mounts[i].path, path) == 0)
            m = &mounts[i];
    if (!what || !m)
        return "no such command or path";
    if (strcmp(what, "stall") == 0 || strcmp(what, "go") == 0)
        g_atomic_int_set(&m->stalled, what[0] == 's');
    else if (strcmp(what, "jump") == 0)
        g_atomic_int_add(&m->jump_ticks, atoi(rest) * RTP_CLOCK_HZ);
    else if (strcmp(what, "freeze") == 0)
        g_atomic_int_set(&m->frozen, 1);
    else if (strcmp(what, "resize") == 0)
        return resize(m, rest);
    else if (strcmp(what, "change") == 0)
        mount_it(m, rest);
    else
        return "no such command";
    return "ok";
}

static gboolean on_datagram(GSocket *socket, GIOCondition condition, gpointer context)
{
    char line[1024];
    GSocketAddress *from = NULL;
    (void)condition;
    (void)context;
    gssize n = g_socket_receive_from(socket, &from, line, sizeof line - 1, NULL, NULL);
    if (n > 0) {
        line[n] = '\0';
        const char *answer = obey(line);
        g_socket_send_to(socket, from, answer, strlen(answer), NULL, NULL);
    }
    g_clear_object(&from);
    return G_SOURCE_CONTINUE;
}

static int open_control(void)
{
    GSocket *s =
        g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_DATAGRAM, G_SOCKET_PROTOCOL_UDP, NULL);
    GInetAddress *loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
    GSocketAddress *any = g_inet_socket_address_new(loopback, 0);
    if (!s || !g_socket_bind(s, any, FALSE, NULL))
        return -1;
    GSocketAddress *bound = g_socket_get_local_address(s, NULL);
    int port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
    GSource *source = g_socket_create_source(s, G_IO_IN, NULL);
    g_source_set_callback(source, G_SOURCE_FUNC(on_datagram), NULL, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
    g_object_unref(bound);
    g_object_unref(any);
    g_object_unref(loopback);
    return port;
}

/* The packages of Debian that have what pipelines need. */
static gboolean has_plugins(void)
{
    static const char *const needed[][2] = {
        {"videotestsrc", "gstreamer1.0-plugins-base"}, {"rtph264pay", "gstreamer1.0-plugins-good"},
        {"jpegenc", "gstreamer1.0-plugins-good"},      {"h264parse", "gstreamer1.0-plugins-bad"},
        {"x265enc", "gstreamer1.0-plugins-bad"},       {"x264enc", "gstreamer1.0-plugins-ugly"}};
    if (!g_tls_backend_supports_tls(g_tls_backend_get_default())) {
        printf("missing TLS: install glib-networking\n");
        return FALSE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        GstElementFactory *f = gst_element_factory_find(needed[i][0]);
        if (!f) {
            printf("missing %s: install %s\n", needed[i][0], needed[i][1]);
            return FALSE;
        }
        gst_object_unref(f);
    }
    return TRUE;
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    gst_init(NULL, NULL);
    if (!has_plugins())
        return 77;
    server = gst_rtsp_server_new();
    gst_rtsp_server_set_address(server, "127.0.0.1");
    gst_rtsp_server_set_service(server, "0");
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--port") == 0) {
            gst_rtsp_server_set_service(server, argv[i + 1]);
        } else if (strcmp(argv[i], "--auth") == 0 && i + 3 < argc) {
            ask_for(argv[i + 1], argv[i + 2], argv[i + 3]);
            i += 2;
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            if (!speak_tls(argv[i + 1], argv[i + 2]))
                return 1;
            i++;
        }
    }
    for (; i + 1 < argc && mount_count < MOUNTS_MAX; i += 2) {
        struct mount *m = &mounts[mount_count++];
        g_strlcpy(m->path, argv[i], sizeof m->path);
        mount_it(m, argv[i + 1]);
    }
    int control = open_control();
    if (control < 0 || !gst_rtsp_server_attach(server, NULL)) {
        fprintf(stderr, "rtsp_server: cannot listen\n");
        return 1;
    }
    printf("port %d control %d\n", gst_rtsp_server_get_bound_port(server), control);
    fflush(stdout);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
