package sigv4

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"pgregory.net/rapid"

	"ssmrun"
)

// The examples of AWS's documentation: a signing key, a header signature and a
// presigned one.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	const key = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
	if got := fmt.Sprintf("%x", SigningKey(exampleSecret, "20150830", "us-east-1", "iam")); got != key {
		t.Errorf("signing key %s", got)
	}

	when := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	r, err := http.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	Sign(r, nil, lasting, "iam", "us-east-1", when)
	const want = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
		"SignedHeaders=content-type;host;x-amz-date, " +
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("Authorization: %s", got)
	}
	if err := verify(at(when), received(t, r, ""), nil); err != nil {
		t.Error(err)
	}

	presigned, err := http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt"+
		"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"+
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"+
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(presigned)
	if err != nil {
		t.Fatal(err)
	}
	v := at(time.Date(2013, 5, 25, 0, 0, 0, 0, time.UTC))
	if err := v.Verify(presigned, s, PayloadHash(nil), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""); err != nil {
		t.Error(err)
	}
}

// drawRequest is any request that a client of AWS might make.
func drawRequest(t *rapid.T, service string) (*http.Request, string) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("abzAZ09-._~ /+=&%!*'();:@,?#[]$\"\\<>éß日😀")))
	var path strings.Builder
	path.WriteByte('/')
	if service != "ssm" {
		for _, part := range rapid.SliceOfN(text, 0, 3).Draw(t, "path") {
			path.WriteString(url.PathEscape(part) + "/")
		}
	}
	query := url.Values{}
	for _, name := range rapid.SliceOfN(text, 0, 4).Draw(t, "query names") {
		query[name] = rapid.SliceOfN(text, 1, 3).Draw(t, "query values")
	}
	body := rapid.String().Draw(t, "body")
	r, err := http.NewRequest(rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method"),
		"http://127.0.0.1:8440"+path.String(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	// As it leaves a client: the SDK's signer itself puts the query in order.
	r.URL.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	value := rapid.StringMatching(`[!-~]( {0,3}[!-~,]){0,12}`)
	for _, name := range []string{"Content-Type", "X-Amz-Target", "Amz-Sdk-Invocation-Id", "X-Amz-Meta-A", "X-Amz-Meta-A-B", "Accept-Encoding", "User-Agent"} {
		if rapid.Bool().Draw(t, name) {
			r.Header.Set(name, value.Draw(t, name))
		}
	}
	return r, body
}

// Whatever the SDK's signer signs, in headers or in the query, is verified.
func TestVerifyAcceptsTheSDKSigner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		service := rapid.SampledFrom([]string{"ssm", "sts", "ec2", "ssmmessages", serviceS3}).Draw(rt, "service")
		keys := rapid.SampledFrom([]Keys{lasting, temporary}).Draw(rt, "keys")
		r, body := drawRequest(rt, service)
		sdkSign(t, r, body, keys, service, noon)
		if err := verify(at(noon.Add(time.Minute)), received(t, r, body), []byte(body)); err != nil {
			rt.Fatalf("header: %v", err)
		}

		r, body = drawRequest(rt, service)
		query := r.URL.Query()
		query.Set(queryExpires, "60")
		r.URL.RawQuery = query.Encode()
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == serviceS3 })
		hash := PayloadHash([]byte(body))
		if service == serviceS3 {
			hash = unsignedPayload
		}
		at59, at61 := at(noon.Add(59*time.Second)), at(noon.Add(61*time.Second))
		uri, header, err := signer.PresignHTTP(context.Background(), sdkKeys(keys), r, hash, service, "us-east-1", noon)
		if err != nil {
			rt.Fatal(err)
		}
		sent, err := http.NewRequest(r.Method, uri, strings.NewReader(body))
		if err != nil {
			rt.Fatal(err)
		}
		sent.Header = header
		sent.Header.Del("Host")
		if err := verify(at59, received(t, sent, body), []byte(body)); err != nil {
			rt.Fatalf("presigned %s: %v", uri, err)
		}
		wantError(t, verify(at61, received(t, sent, body), []byte(body)), ErrClock, ssmrun.CodeInvalidSignature)
	})
}

// Where both sign the same headers, Sign and the SDK's signer agree to the byte.
func TestSignIsTheSDKSigner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		service := rapid.SampledFrom([]string{"ssm", "ec2messages", "ssmmessages"}).Draw(rt, "service")
		keys := rapid.SampledFrom([]Keys{lasting, temporary}).Draw(rt, "keys")
		ours, body := drawRequest(rt, service)
		ours.Header.Del("Accept-Encoding")
		ours.Header.Del("Amz-Sdk-Invocation-Id")
		theirs := ours.Clone(context.Background())
		theirs.ContentLength = 0 // would be signed
		Sign(ours, []byte(body), keys, service, "us-east-1", noon)
		sdkSign(t, theirs, body, keys, service, noon)
		if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
			rt.Fatalf("\n got %s\nwant %s", got, want)
		}
		if err := verify(at(noon), received(t, ours, body), []byte(body)); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestSignAgain(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:8440/v1/control-channel/mi-0123456789abcdef0?role=subscribe&stream=input", nil)
	if err != nil {
		t.Fatal(err)
	}
	Sign(r, nil, temporary, "ssmmessages", "us-east-1", noon)
	Sign(r, nil, lasting, "ssmmessages", "us-east-1", noon.Add(time.Hour))
	if err := verify(at(noon.Add(time.Hour)), received(t, r, ""), nil); err != nil {
		t.Error(err)
	}
	if got := r.Header.Get(headerToken); got != "" {
		t.Errorf("the token of the first keys stayed: %q", got)
	}
}

func clientConfig(k Keys) aws.Config {
	return aws.Config{
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, k.SessionToken),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// Real calls of the Go SDK's clients, over a connection.
func TestVerifyAcceptsGoSDKClients(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]Keys{"lasting": lasting, "temporary": temporary} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			srv := newService(t, &Verifier{})
			cfg := clientConfig(keys)
			cfg.BaseEndpoint = aws.String(srv.URL)
			call := func(service, what string, err error) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				srv.accepted(t, service)
			}

			_, err := ssm.NewFromConfig(cfg).SendCommand(ctx, &ssm.SendCommandInput{
				DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: []string{"i-0123456789abcdef0"},
				Parameters: map[string][]string{"commands": {"echo 'é <&> \"'"}},
			})
			call("ssm", "SendCommand", err)
			_, err = sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			call("sts", "GetCallerIdentity", err)
			_, err = ec2.NewFromConfig(cfg).DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{"i-0123456789abcdef0"}})
			call("ec2", "DescribeInstances", err)

			store := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
			for _, key := range []string{"plain.txt", "a b+c/ü(1)/~x!*'.txt", "q?x=1&y;z:@,$"} {
				_, err = store.PutObject(ctx, &s3.PutObjectInput{
					Bucket: aws.String("logs"), Key: aws.String(key), Body: strings.NewReader("hello\n"),
					Metadata: map[string]string{"who": "a  b"},
				})
				call("s3", "PutObject "+key, err)
				_, err = store.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key)})
				call("s3", "GetObject "+key, err)
			}
			_, err = store.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("logs"), Prefix: aws.String("a/b c+d=é&~")})
			call("s3", "ListObjectsV2", err)

			// Presigned, and then fetched by a client that knows nothing.
			fetch := func(service, method, uri string, header http.Header, body string) {
				t.Helper()
				r, err := http.NewRequestWithContext(ctx, method, uri, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				for name := range header {
					if name != "Host" && name != "Content-Length" {
						r.Header[name] = header[name]
					}
				}
				resp, err := srv.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				srv.accepted(t, service)
			}
			get, err := s3.NewPresignClient(store).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String("a b+c.txt")})
			if err != nil {
				t.Fatal(err)
			}
			fetch("s3", get.Method, get.URL, get.SignedHeader, "")
			put, err := s3.NewPresignClient(store).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("logs"), Key: aws.String("put.txt")})
			if err != nil {
				t.Fatal(err)
			}
			fetch("s3", put.Method, put.URL, put.SignedHeader, "body")
			who, err := sts.NewPresignClient(sts.NewFromConfig(cfg)).PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if err != nil {
				t.Fatal(err)
			}
			fetch("sts", who.Method, who.URL, who.SignedHeader, "")
		})
	}
}

// The Go SDK takes our clock from the Date header of a refusal, and signs again.
func TestGoSDKCorrectsItsClock(t *testing.T) {
	t.Parallel()
	srv := newService(t, &Verifier{Now: func() time.Time { return time.Now().Add(20 * time.Minute) }})
	cfg := clientConfig(lasting)
	cfg.Retryer = nil
	cfg.BaseEndpoint = aws.String(srv.URL)
	if _, err := ssm.NewFromConfig(cfg).ListCommands(t.Context(), &ssm.ListCommandsInput{}); err != nil {
		t.Error(err)
	}
	verdicts, _ := srv.take()
	if len(verdicts) != 2 || verdicts[1] != nil {
		t.Fatalf("verdicts %v, want a refusal and nil", verdicts)
	}
	wantError(t, verdicts[0], ErrClock, ssmrun.CodeInvalidSignature)
}

const botocoreScript = `
import sys, urllib.request
import botocore.session
from botocore.config import Config
url, key, secret, token = sys.argv[1:5]
session = botocore.session.Session()
session.set_credentials(key, secret, token or None)
def client(service, **kw):
    return session.create_client(service, region_name='us-east-1', endpoint_url=url,
        config=Config(retries={'total_max_attempts': 1}, **kw))
client('ssm').send_command(DocumentName='AWS-RunShellScript', InstanceIds=['i-0123456789abcdef0'],
    Parameters={'commands': ['echo "\u00e9 <&>"']})
client('sts').get_caller_identity()
client('ec2').describe_instances(InstanceIds=['i-0123456789abcdef0'])
s3 = client('s3', signature_version='s3v4', s3={'addressing_style': 'path'})
s3.put_object(Bucket='logs', Key='a b+c/\u00fc(1)~x!.txt', Body=b'hello\n', Metadata={'who': 'a  b'})
s3.get_object(Bucket='logs', Key='a b+c/\u00fc(1)~x!.txt')
s3.list_objects_v2(Bucket='logs', Prefix='a/b c+d=\u00e9&~')
urllib.request.urlopen(s3.generate_presigned_url('get_object', Params={'Bucket': 'logs', 'Key': 'a b+c.txt'})).read()
urllib.request.urlopen(client('sts').generate_presigned_url('get_caller_identity', HttpMethod='GET')).read()
`

// Real calls of botocore, which is what the AWS CLI is made of.
func TestVerifyAcceptsBotocore(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("NOT RUN: no python3")
	}
	if err := exec.CommandContext(t.Context(), python, "-c", "import botocore").Run(); err != nil {
		t.Skip("NOT RUN: python3 has no botocore")
	}
	for name, keys := range map[string]Keys{"lasting": lasting, "temporary": temporary} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newService(t, &Verifier{})
			cmd := exec.CommandContext(t.Context(), python, "-c", botocoreScript, srv.URL, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)
			cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool {
				return strings.HasPrefix(e, "AWS_") || strings.HasPrefix(strings.ToLower(e), "http_proxy")
			}), "AWS_EC2_METADATA_DISABLED=true")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			verdicts, seen := srv.take()
			var services []string
			for i, s := range seen {
				services = append(services, s.Service)
				if verdicts[i] != nil {
					t.Errorf("call %d, to %s: %v", i, s.Service, verdicts[i])
				}
			}
			if want := []string{"ssm", "sts", "ec2", "s3", "s3", "s3", "s3", "sts"}; !slices.Equal(services, want) {
				t.Errorf("verified %v, want %v", services, want)
			}
		})
	}
}
