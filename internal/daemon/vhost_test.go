package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/coder/websocket"
	"github.com/google/uuid"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
	"ssmrun/internal/wire"
)

// virtual is an S3 client that addresses buckets as hosts below host.
func virtual(t *testing.T, s *testenv.Service, host string, keys *sigv4.Keys) *s3.Client {
	cfg := at(t, s, host)
	if keys != nil {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
	}
	return s3.NewFromConfig(cfg)
}

// upload puts an object in two parts.
func upload(ctx context.Context, c *s3.Client, bucket, key string, parts ...string) error {
	made, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	var done types.CompletedMultipartUpload
	for i, part := range parts {
		n := aws.Int32(int32(i + 1))
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: made.UploadId, PartNumber: n, Body: strings.NewReader(part)})
		if err != nil {
			return err
		}
		done.Parts = append(done.Parts, types.CompletedPart{ETag: out.ETag, PartNumber: n})
	}
	_, err = c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: made.UploadId, MultipartUpload: &done})
	return err
}

// TestVirtualHosts: buckets as hosts, as the genuine agent addresses them, by
// both domains, by callers and with an agent's temporary keys.
func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testenv.Options{Buckets: []string{"logs"}, Regions: []string{"us-east-1", "eu-west-1"}})
	ctx := testenv.Context(t)
	agent := registerOverTLS(t, s)
	keys := agent.keys
	big := strings.Repeat("0123456789abcdef", 5<<20/16)
	for _, host := range []string{"s3.us-east-1.lab.test", "s3.lab.test:8443", "s3.us-east-1.lab.test:8443"} {
		for _, k := range []*sigv4.Keys{nil, &keys} {
			c, key := virtual(t, s, host, k), "out puts/"+uuid.NewString()+"/stdout"
			if out, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("logs")}); err != nil || aws.ToString(out.BucketRegion) != "us-east-1" {
				t.Errorf("%s: head of the bucket: %+v, %v", host, out, err)
			}
			_, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: aws.String("logs")})
			if s3Code(err) != "ServerSideEncryptionConfigurationNotFoundError" {
				t.Errorf("%s: encryption: %v", host, err)
			}
			_, err = c.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String("logs"), Key: &key, Body: strings.NewReader("hello"), ContentType: aws.String("text/plain"), ACL: types.ObjectCannedACLBucketOwnerFullControl,
			})
			if err != nil {
				t.Errorf("%s: put: %v", host, err)
			}
			if err := upload(ctx, c, "logs", key+"-parts", big, "end"); err != nil {
				t.Errorf("%s: in parts: %v", host, err)
			}
			caller := virtual(t, s, host, nil)
			for name, want := range map[string]string{key: "hello", key + "-parts": big + "end"} {
				head, err := caller.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("logs"), Key: &name})
				if err != nil || aws.ToInt64(head.ContentLength) != int64(len(want)) {
					t.Errorf("%s: head %s: %+v, %v", host, name, head, err)
				}
				out, err := caller.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: &name})
				if err != nil {
					t.Errorf("%s: get: %v", host, err)
					continue
				}
				if b, err := io.ReadAll(out.Body); err != nil || string(b) != want {
					t.Errorf("%s: got %d bytes, %v", host, len(b), err)
				}
			}
			if k != nil {
				if _, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: &key}); s3Code(err) != "AccessDenied" {
					t.Errorf("%s: an agent reads: %v", host, err)
				}
			}
		}
	}
	audit, err := os.ReadFile(filepath.Join(s.Data, "audit.log"))
	if err != nil || !bytes.Contains(audit, []byte(`"operation":"PUT /logs/out puts/`)) || bytes.Contains(audit, []byte(`"operation":"PUT /out puts/`)) {
		t.Errorf("the audit log does not name the bucket: %v\n%s", err, audit)
	}
	// What names another bucket for one reader than for the next would let an
	// agent do what it may not.
	for host, want := range map[string]int{
		"LOGS.S3.us-East-1.lab.test":                http.StatusOK,
		"logs.s3.lab.test.s3.us-east-1.lab.test":    http.StatusBadRequest,
		"logs.s3.us-east-1.lab.test.":               http.StatusBadRequest,
		"logs.s3.us-east-1.lab.test.s3.other.test":  http.StatusBadRequest,
		"logs.s3.us-east-1.lab.test:443.other.test": http.StatusBadRequest,
	} {
		r := request(t, ctx, http.MethodPut, "https://s3.us-east-1.lab.test/made-by-agent", []byte("x"))
		r.Host = host
		r.Header.Set("X-Amz-Content-Sha256", sigv4.PayloadHash([]byte("x")))
		sigv4.Sign(r, []byte("x"), keys, "s3", "us-east-1", time.Now())
		resp, err := tlsClient(t, s.Info, s.CAFile).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %d %s", host, resp.StatusCode, b)
		}
	}
	if buckets, err := s.S3().ListBuckets(ctx, &s3.ListBucketsInput{}); err != nil || len(buckets.Buckets) != 1 {
		t.Errorf("%d buckets, %v", len(buckets.Buckets), err)
	}
}

// s3Code is the code of the service's error.
func s3Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func request(t *testing.T, ctx context.Context, method, url string, body []byte) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tlsAgent is what a host has that registered at the service's names.
type tlsAgent struct {
	id   string
	keys sigv4.Keys
}

// registerOverTLS registers a host and gets its temporary keys, each call at the
// name that the genuine agent uses for it.
func registerOverTLS(t *testing.T, s *testenv.Service) tlsAgent {
	t.Helper()
	ctx, client := testenv.Context(t), tlsClient(t, s.Info, s.CAFile)
	call := func(operation string, in, out any, sign func(*http.Request, []byte) error) {
		t.Helper()
		body, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		r := request(t, ctx, http.MethodPost, "https://ssm.us-east-1.lab.test/", body)
		r.Header.Set("X-Amz-Target", wire.TargetSSM+operation)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		if err := sign(r, body); err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(resp.Body)
			t.Fatalf("%s: %d %s", operation, resp.StatusCode, b)
		}
		decode(t, resp, out)
	}
	activation, secret := activate(t, ssm.NewFromConfig(at(t, s, "ssm.us-east-1.lab.test")), &ssm.CreateActivationInput{})
	id, err := agentlink.NewIdentity(s.Region)
	if err != nil {
		t.Fatal(err)
	}
	public, err := agentlink.PublicKey(id.Key)
	if err != nil {
		t.Fatal(err)
	}
	var registered wire.RegisterManagedInstanceResponse
	call(wire.OpRegisterManagedInstance, wire.RegisterManagedInstanceRequest{
		ActivationID: activation, ActivationCode: secret, Fingerprint: id.Fingerprint, PublicKey: public, PublicKeyType: wire.KeyTypeRSA,
	}, &registered, func(*http.Request, []byte) error { return nil })
	var token wire.RequestManagedInstanceRoleTokenResponse
	call("RequestManagedInstanceRoleToken", wire.RequestManagedInstanceRoleTokenRequest{Fingerprint: id.Fingerprint}, &token, func(r *http.Request, body []byte) error {
		return sigv4.SignRSA(r, body, registered.InstanceID, id.Key, "ssm", s.Region, time.Now())
	})
	return tlsAgent{registered.InstanceID, sigv4.Keys{AccessKeyID: token.AccessKeyID, SecretAccessKey: token.SecretAccessKey, SessionToken: token.SessionToken}}
}

// TestChannelOverTLS: the control channel at its own name; a command comes
// through it.
func TestChannelOverTLS(t *testing.T) {
	t.Parallel()
	s := startTLS(t, testenv.Options{})
	ctx, client, agent := testenv.Context(t), tlsClient(t, s.Info, s.CAFile), registerOverTLS(t, s)
	address := "https://ssmmessages.us-east-1.lab.test" + wire.ControlChannelPath(agent.id)
	body := []byte(`{"MessageSchemaVersion":"1.0","RequestId":"` + uuid.NewString() + `"}`)
	r := request(t, ctx, http.MethodPost, address, body)
	sigv4.Sign(r, body, agent.keys, "ssmmessages", s.Region, time.Now())
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	created, decodeErr := wire.DecodeCreateControlChannelResponse(b)
	if err = errors.Join(err, decodeErr); err != nil || resp.StatusCode != http.StatusCreated || resp.ProtoMajor != 1 {
		t.Fatalf("%s %s: %s %v", resp.Proto, resp.Status, b, err)
	}
	r = request(t, ctx, http.MethodGet, address+"?"+wire.ControlChannelQuery, nil)
	sigv4.Sign(r, nil, agent.keys, "ssmmessages", s.Region, time.Now())
	// This client offers h2, as one may that says nothing about protocols.
	conn, answer, err := websocket.Dial(ctx, r.URL.String(), &websocket.DialOptions{HTTPClient: client, HTTPHeader: r.Header}) //nolint:bodyclose // the connection is the body
	if err != nil {
		t.Fatalf("%v: %v", answer, err)
	}
	defer conn.CloseNow() //nolint:errcheck // a test's end
	hello, err := wire.Marshal(wire.OpenControlChannel{
		MessageSchemaVersion: "1.0", RequestID: uuid.NewString(), TokenValue: created.TokenValue, AgentVersion: "3.3.0.0", PlatformType: "linux",
	})
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, hello)
	}
	if err != nil {
		t.Fatal(err)
	}
	sent, err := ssm.NewFromConfig(at(t, s, "ssm.us-east-1.lab.test")).SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{agent.id}, Parameters: map[string][]string{"commands": {"true"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	kind, frame, err := conn.Read(ctx)
	if err != nil || kind != websocket.MessageBinary {
		t.Fatalf("%v: %v", kind, err)
	}
	f, err := wire.Decode(frame)
	if err != nil || f.Type != wire.TypeAgentJob || !bytes.Contains(f.Payload, []byte(*sent.Command.CommandId)) {
		t.Errorf("the first frame is %s %s, %v", f.Type, f.Payload, err)
	}
}
