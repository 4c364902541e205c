package agentlink

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/wire"
)

// answers is a network on which every call is answered with the same.
type answers struct {
	status int
	body   []byte
}

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// onceHandler checks that a job has what it must, and acknowledges it.
type onceHandler struct{ t *testing.T }

func (h onceHandler) HandleJob(job wire.AgentJob, ack func(code, message string)) {
	if job.JobID == "" || job.Topic == "" || job.Content == "" {
		h.t.Errorf("a job lacks something: %+v", job)
	}
	ack(wire.AckOK, "")
}

func fuzzLink(t *testing.T, net answers) *Link {
	return New(Config{
		Identity: Identity{InstanceID: "i-0123456789abcdef0", Region: "us-east-1"}, Endpoint: FixedEndpoint("http://service.test"),
		Handler: onceHandler{t}, Info: func() Info { return Info{} }, HTTP: &http.Client{Transport: net},
		Keys: func() (sigv4.Keys, error) { return sigv4.Keys{AccessKeyID: "AKIA", SecretAccessKey: "s"}, nil },
	})
}

// TestPlainCallToTLS: what a TLS listener says to a plain call becomes advice.
func TestPlainCallToTLS(t *testing.T) {
	t.Parallel()
	l := fuzzLink(t, answers{http.StatusBadRequest, []byte("Client sent an HTTP request to an HTTPS server.\n")})
	if _, err := l.openChannel(t.Context()); err == nil || !strings.Contains(err.Error(), "begins with https://") {
		t.Errorf("got %v", err)
	}
}

// FuzzAnswers: whatever a service answers to the calls of a session and of a
// poll, nothing crashes, and what is handed on has what it must.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		"", "{}", "[]", "null", `{"Messages":null}`, `{"Messages":[null,1,"x",{},{"MessageId":"m"}]}`,
		`{"Messages":[{"MessageId":"aws.ssm.c.i-0123456789abcdef0","Destination":"i-0123456789abcdef0","Topic":"aws.ssm.sendCommand.r.i","Payload":"{}"}]}`,
		`{"Messages":[{"MessageId":"m","Destination":"i-1","Topic":"t","Payload":"p"}]}`,
		`{"__type":"com.amazonaws#AccessDeniedException","message":"m"}`, `{"__type":3}`,
		"<CreateControlChannelResponse><TokenValue>t</TokenValue></CreateControlChannelResponse>",
		"<CreateControlChannelResponse><TokenValue></CreateControlChannelResponse>", "<AccessDeniedException></AccessDeniedException>",
	} {
		f.Add(200, []byte(body))
		f.Add(201, []byte(body))
		f.Add(403, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 {
			t.Skip()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		l := fuzzLink(t, answers{status, body})
		n, err := l.poll.once(ctx)
		if status != http.StatusOK && err == nil {
			t.Error("a refusal was taken")
		}
		if n > len(l.poll.settle) {
			t.Errorf("%d taken, %d to be settled", n, len(l.poll.settle))
		}
		if _, err := l.openChannel(ctx); err == nil {
			t.Error("a channel without a websocket")
		}
	})
}

// FuzzFrames: whatever comes as a frame's payload is handled or dropped.
func FuzzFrames(f *testing.F) {
	for _, typ := range []string{wire.TypeAgentJob, wire.TypeAgentJobReplyAck, wire.TypeInteractiveShell, ""} {
		for _, payload := range []string{
			"", "{}", `{"JobId":"j","Topic":"t","Content":"c"}`, `{"JobId":3}`, `{"acknowledgedMessageId":"x"}`,
			`{"acknowledgedMessageId":"0e3ee3d0-5f2d-4a1f-9c0e-7a3a3f6a6c11"}`,
		} {
			f.Add(typ, []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, typ string, payload []byte) {
		l := fuzzLink(t, answers{})
		l.handle(wire.Frame{Type: typ, Payload: payload})
		once, _, _ := l.out.take(time.Now())
		for _, m := range once {
			if _, err := wire.Decode(m.frame); err != nil {
				t.Errorf("an acknowledgement that is no frame: %v", err)
			}
		}
	})
}

// FuzzSendReply: what is kept as a reply for one channel becomes one for the
// other, or is refused.
func FuzzSendReply(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":1,"jobId":"j","content":"{\"documentStatus\":\"Success\"}","topic":"aws.ssm.sendCommand"}`))
	f.Add([]byte(`{"jobId":"j","content":"{}"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		in, err := sendReply(Reply{Payload: payload})
		if err != nil {
			return
		}
		var r wire.Reply
		if err := wire.Unmarshal([]byte(in.Payload), &r); err != nil || in.MessageID == "" {
			t.Errorf("%+v: %v", in, err)
		}
	})
}
