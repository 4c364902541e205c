package runner

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

func (f *farEnd) serveEC2(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>`, code, message)
	}
	if f.ec2 == nil {
		fail(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
		return
	}
	var body, unknown []string
	for n := 1; r.Form.Get(fmt.Sprintf("InstanceId.%d", n)) != ""; n++ {
		id := r.Form.Get(fmt.Sprintf("InstanceId.%d", n))
		state, ok := f.ec2[id]
		if !ok {
			unknown = append(unknown, id)
			continue
		}
		body = append(body, fmt.Sprintf(`<item><instancesSet><item><instanceId>%s</instanceId><instanceState><code>16</code><name>%s</name></instanceState></item></instancesSet></item>`, id, state))
	}
	if len(unknown) > 0 {
		fail(400, "InvalidInstanceID.NotFound", "The instance IDs '"+strings.Join(unknown, ", ")+"' do not exist")
		return
	}
	fmt.Fprintf(w, `<?xml version="1.0"?><DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><reservationSet>%s</reservationSet></DescribeInstancesResponse>`, strings.Join(body, ""))
}

func (f *farEnd) serveS3(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	region, ok := f.buckets[bucket]
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/")
	asked := strings.Split(scope, "/")[1]
	switch {
	case !ok:
		w.WriteHeader(404)
		return
	case region == "403":
		w.Header().Set("X-Amz-Bucket-Region", "us-east-1")
		w.WriteHeader(403)
		return
	case region != asked:
		w.Header().Set("X-Amz-Bucket-Region", region)
		w.WriteHeader(301)
		return
	case key == "":
		w.Header().Set("X-Amz-Bucket-Region", region)
		return
	}
	content, ok := f.objects[bucket+"/"+key]
	if !ok {
		w.WriteHeader(404)
		return
	}
	if rest, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=-"); ok {
		n, _ := strconv.Atoi(rest)
		content = content[max(0, len(content)-n):]
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		return
	}
	_, _ = io.WriteString(w, content)
}

// refuseWith answers with an error of the service.
func refuseWith(status int, code string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
		awsError(w, status, code, "")
		return true
	}
}

var throttle = refuseWith(400, "ThrottlingException")

// cut closes the connection without an answer.
func cut(w http.ResponseWriter, _ *http.Request, _ func(http.ResponseWriter)) bool {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
	return true
}

// dropAnswer lets the service do what it was asked, and loses the answer.
func dropAnswer(w http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
	accept(httptest.NewRecorder())
	return cut(w, r, accept)
}

// acceptThen does what was asked and answers with an error all the same.
func acceptThen(status int, code string) spoiler {
	return func(w http.ResponseWriter, _ *http.Request, accept func(http.ResponseWriter)) bool {
		accept(httptest.NewRecorder())
		awsError(w, status, code, "")
		return true
	}
}

// hang never answers; accepted or not.
func hang(accepted bool) spoiler {
	return func(_ http.ResponseWriter, r *http.Request, accept func(http.ResponseWriter)) bool {
		if accepted {
			accept(httptest.NewRecorder())
		}
		<-r.Context().Done()
		return true
	}
}

// slowly answers after a while.
func slowly(d time.Duration) spoiler {
	return func(http.ResponseWriter, *http.Request, func(http.ResponseWriter)) bool {
		time.Sleep(d)
		return false
	}
}
