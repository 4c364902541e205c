package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"ssmrun"
)

const (
	// outputPatience bounds all looks at the objects of a run.
	outputPatience = time.Minute
	// tailBytes is how much of the end of a stream is read.
	tailBytes = 16 << 10
	// tailed is how many failed instances get the end of their output read.
	tailed = 20
)

// missingCause is why an object is not there, as far as one can tell from here.
const missingCause = "the agent could not write it, which its stderr may tell; most often its role lacks s3:PutObject on the bucket, or it cannot reach S3"

// lookAtOutputs looks for the objects of all streams that are not empty, and
// reads the end of those that the service cut where a failure will show them.
func (x *run) lookAtOutputs(ctx context.Context, res *Result) {
	if res.Output.Bucket == "" {
		return
	}
	type spot struct {
		instance *InstanceResult
		stream   *Stream
		name     string // stdout or stderr
		maybe    bool   // the stream may be empty
	}
	var spots []spot
	for n := range res.Instances {
		i := &res.Instances[n]
		for m := range i.Plugins {
			p := &i.Plugins[m]
			for k, s := range []*Stream{&p.Stdout, &p.Stderr} {
				name := [2]string{"stdout", "stderr"}[k]
				maybe := p.joined && s.Head == ""
				if s.Head == "" && !s.Cut && !maybe || !p.State.Terminal() {
					continue
				}
				s.Object = &Object{Bucket: res.Output.Bucket, Region: res.Output.Region, Key: x.objectKey(i, p, k)}
				spots = append(spots, spot{i, s, name, maybe})
			}
		}
	}
	if x.cfg.S3 == nil || len(spots) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, outputPatience)
	defer cancel()
	client := x.cfg.S3(firstOf(res.Output.Region, x.cfg.Region))
	each(spots, func(s spot) { lookAtObject(ctx, client, s.stream.Object) })
	var again []spot
	for _, s := range spots {
		if s.stream.Object.State == ObjectMissing && !s.maybe {
			again = append(again, s)
		}
	}
	if len(again) > 0 && sleep(ctx, 2*time.Second) == nil {
		each(again, func(s spot) { lookAtObject(ctx, client, s.stream.Object) })
	}

	var missing, unknown []string
	why := ""
	for _, s := range spots {
		switch {
		case s.stream.Object.State == ObjectPresent:
		case s.maybe:
			s.stream.Object = nil
		case s.stream.Object.State == ObjectMissing:
			missing = append(missing, s.name+" of "+s.instance.ID)
		default:
			unknown, why = append(unknown, s.instance.ID), s.stream.Object.Cause
		}
	}
	if len(missing) > 0 {
		res.Warnings = append(res.Warnings, fmt.Sprintf("not found in s3://%s: the %s. Likely cause: %s", res.Output.Bucket, listed(missing, 10), missingCause))
	}
	if len(unknown) > 0 {
		res.Warnings = append(res.Warnings, fmt.Sprintf("whether the output of %s arrived in s3://%s could not be checked: %s", instances(distinct(unknown)), res.Output.Bucket, why))
	}
	x.readTails(ctx, client, res)
}

func distinct(ids []string) int {
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	return len(seen)
}

// lookAtObject finds out whether an object is there.
func lookAtObject(ctx context.Context, client S3, o *Object) {
	ctx, cancel := context.WithTimeout(ctx, s3Timeout)
	defer cancel()
	out, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.Bucket, Key: &o.Key})
	if err == nil {
		o.State, o.Size, o.Cause = ObjectPresent, aws.ToInt64(out.ContentLength), ""
		return
	}
	status := 0
	var re *smithyhttp.ResponseError
	if errors.As(err, &re) && re.Response != nil && re.Response.Response != nil {
		status = re.HTTPStatusCode()
	}
	switch status {
	case http.StatusNotFound:
		o.State, o.Cause = ObjectMissing, missingCause
	case http.StatusForbidden:
		o.State, o.Cause = ObjectUnknown, "the caller may not do s3:GetObject and s3:ListBucket there (403)"
	default:
		o.State, o.Cause = ObjectUnknown, faultOf(err).String()
	}
}

// readTails reads the end of the streams that a failure report shows, where
// the service has only their beginning.
func (x *run) readTails(ctx context.Context, client S3, res *Result) {
	var cut []*Stream
	n := 0
	for k := range res.Instances {
		i := &res.Instances[k]
		if i.Succeeded() {
			continue
		}
		if n++; n > tailed {
			break
		}
		if s, _ := i.shown(); s != nil && s.Cut && s.Object != nil && s.Object.State == ObjectPresent {
			cut = append(cut, s)
		}
	}
	each(cut, func(s *Stream) {
		tail, err := readTail(ctx, client, s.Object)
		if err != nil {
			x.log.Info("the end of an output could not be read", "object", s.Object.URL(), "error", faultOf(err).String())
			return
		}
		s.Tail = tail
	})
}

func readTail(ctx context.Context, client S3, o *Object) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s3Timeout)
	defer cancel()
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.Bucket, Key: &o.Key, Range: aws.String(fmt.Sprintf("bytes=-%d", tailBytes))},
		// A part of an object has no checksum; the SDK would log that it misses one.
		func(opts *s3.Options) { opts.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	// A server that ignores the range must not fill the memory.
	b, err := io.ReadAll(io.LimitReader(out.Body, tailBytes))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", o.URL(), err)
	}
	// The range may begin within a character.
	for len(b) > 0 && !utf8.RuneStart(b[0]) {
		b = b[1:]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}

// objectKey is where an agent puts a stream: as the service says, else as the
// layout has it, PREFIX/COMMAND/INSTANCE/PLUGIN/STEP/STREAM.
func (x *run) objectKey(i *InstanceResult, p *PluginResult, stream int) string {
	if key := keyIn(p.urls[stream], x.output.Bucket); key != "" {
		return key
	}
	plugin, step := "awsrunShellScript", p.Name
	if strings.HasPrefix(p.Name, "aws:") {
		plugin = strings.ReplaceAll(p.Name, ":", "")
		step = "0." + plugin
	}
	if d := x.document.content; d != nil {
		for _, s := range d.Steps {
			if s.Name != p.Name {
				continue
			}
			plugin = strings.ReplaceAll(s.Action, ":", "")
			if s.ID != "" {
				step = strings.ReplaceAll(s.ID, ":", "")
			}
			break
		}
	}
	parts := []string{i.CommandID, i.ID, plugin, step, [2]string{"stdout", "stderr"}[stream]}
	if x.output.Prefix != "" {
		parts = append([]string{strings.Trim(x.output.Prefix, "/")}, parts...)
	}
	return strings.Join(parts, "/")
}

// keyIn takes the key out of an object's address: path style or virtual host.
func keyIn(address, bucket string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	if key, ok := strings.CutPrefix(u.Path, "/"+bucket+"/"); ok {
		return key
	}
	if strings.HasPrefix(u.Host, bucket+".") {
		return strings.TrimPrefix(u.Path, "/")
	}
	return ""
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// trimmedOutput is where a Result's output went, for texts: "" for nowhere.
func trimmedOutput(o ssmrun.OutputLocation) string {
	if o.Bucket == "" {
		return ""
	}
	return "s3://" + strings.TrimSuffix(o.Bucket+"/"+strings.Trim(o.Prefix, "/"), "/")
}
