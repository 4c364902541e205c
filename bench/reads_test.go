package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// reads measures GetCommandInvocation, over the results of a thousand agents.
func reads(t *testing.T, out *table) {
	const agents, period = 1000, 5 * time.Second
	s := testenv.Start(t, testenv.Options{Args: append(profiled("reads"), "--log-level", "warn")})
	f := simulate(t, s, agents)
	id := *everywhere(t, s).CommandId
	f.stop(t)
	requests := make([][]byte, agents)
	for n, instance := range f.first.IDs {
		requests[n] = signedRequest(t, s, "GetCommandInvocation", fmt.Sprintf(`{"CommandId":%q,"InstanceId":%q}`, id, instance))
	}
	load(t, s, 8, time.Second, requests) // the first ones are cold
	for _, connections := range []int{1, 8, 32} {
		began := cpu(t, s.PID())
		rate := load(t, s, connections, period, requests)
		out.value(fmt.Sprintf("GetCommandInvocation, signed beforehand, %d connections", connections),
			fmt.Sprintf("%.0f/s, %s of the service each", rate, micros(cpu(t, s.PID())-began, int(rate*period.Seconds()))), "")
	}
	for _, connections := range []int{8, 32} {
		out.value(fmt.Sprintf("GetCommandInvocation, the Go SDK, %d goroutines", connections),
			fmt.Sprintf("%.0f/s", loadSDK(t, s, connections, period, id, f.first.IDs)), "")
	}
	s.Stop()
}

// loadSDK is load with the Go SDK, and so with its cost.
func loadSDK(t *testing.T, s *testenv.Service, goroutines int, took time.Duration, command string, instances []string) float64 {
	t.Helper()
	client := ssm.NewFromConfig(s.Config(s.Region), func(o *ssm.Options) {
		o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.MaxIdleConnsPerHost = goroutines })
	})
	ctx, cancel := context.WithTimeout(t.Context(), took)
	defer cancel()
	var next, answered atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range goroutines {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := client.GetCommandInvocation(t.Context(), &ssm.GetCommandInvocationInput{
					CommandId: &command, InstanceId: aws.String(instances[int(next.Add(1))%len(instances)]),
				})
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds()
}
