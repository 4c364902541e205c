package runner

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

// ec2NotFound stands for the state of an instance that EC2 does not know.
const ec2NotFound = "not found"

// ec2States is what EC2 says of instances, as far as it could be asked.
type ec2States struct {
	state  map[string]string // pending, running, …, or ec2NotFound
	reason string            // why EC2 could not be asked
}

func (s ec2States) of(id string) (state string, asked bool) {
	state, asked = s.state[id]
	return state, asked
}

func isEC2(id string) bool { return strings.HasPrefix(id, "i-") }

var ec2ID = regexp.MustCompile(`i-[0-9a-f]{8,17}`)

// ec2States asks EC2 for the states of instances. It is a help only: what goes
// wrong is kept as the reason why less is known.
func (r *Runner) ec2States(ctx context.Context, ids []string) ec2States {
	s := ec2States{state: map[string]string{}, reason: "no client for it is set up"}
	if r.cfg.EC2 == nil || len(ids) == 0 {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for len(ids) > 0 {
		err := pages(func(token *string) (*string, error) {
			out, err := r.cfg.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: ids, NextToken: token})
			if err != nil {
				return nil, err
			}
			for _, reservation := range out.Reservations {
				for _, i := range reservation.Instances {
					if i.State != nil {
						s.state[aws.ToString(i.InstanceId)] = string(i.State.Name)
					}
				}
			}
			return out.NextToken, nil
		})
		if err == nil {
			for _, id := range ids {
				if _, ok := s.state[id]; !ok {
					s.state[id] = ec2NotFound
				}
			}
			return s
		}
		// One id that EC2 does not know spoils the answer for the others: the
		// error names it, and the rest is asked for again.
		bad := unknownToEC2(err, ids)
		if len(bad) == 0 {
			s.reason = faultOf(err).String()
			r.log.Info("EC2 could not be asked", "reason", s.reason)
			return s
		}
		var rest []string
		for _, id := range ids {
			if bad[id] {
				s.state[id] = ec2NotFound
			} else {
				rest = append(rest, id)
			}
		}
		ids = rest
	}
	return s
}

// unknownToEC2 gives the ids that EC2 refused, none where that is not what went
// wrong.
func unknownToEC2(err error, asked []string) map[string]bool {
	var ae smithy.APIError
	if !errors.As(err, &ae) {
		return nil
	}
	if code := ae.ErrorCode(); code != "InvalidInstanceID.NotFound" && code != "InvalidInstanceID.Malformed" {
		return nil
	}
	bad := map[string]bool{}
	named := ec2ID.FindAllString(ae.ErrorMessage(), -1)
	for _, id := range asked {
		for _, n := range named {
			if n == id {
				bad[id] = true
			}
		}
	}
	if len(bad) == 0 && len(asked) == 1 {
		bad[asked[0]] = true
	}
	return bad
}
