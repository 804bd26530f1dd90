"""What passes a line in a film: supervision draws and counts, a tracker of trackers tells one thing from another.

    pip install supervision trackers
    python examples/supervision_counting.py film.mp4 counted.mp4
"""
import argparse

import supervision as sv
from trackers import ByteTrackTracker

from dicenet_mm.apis import Inferencer


def main():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('film')
    made.add_argument('out')
    made.add_argument('--weights', help='checkpoint (default: the built-in detector)')
    made.add_argument('--score-thr', type=float, default=0.3)
    args = made.parse_args()
    inferencer = Inferencer(args.weights)
    classes = inferencer.dataset_meta['classes']
    film = sv.VideoInfo.from_video_path(args.film)
    tracker = ByteTrackTracker(frame_rate=film.fps, track_activation_threshold=args.score_thr,
                               high_conf_det_threshold=args.score_thr)
    middle = film.width // 2
    line = sv.LineZone(start=sv.Point(middle, 0), end=sv.Point(middle, film.height))
    draw_boxes, draw_labels, draw_traces = sv.BoxAnnotator(), sv.LabelAnnotator(), sv.TraceAnnotator()
    draw_line = sv.LineZoneAnnotator()
    with sv.VideoSink(args.out, film) as sink:
        for frame in sv.get_video_frames_generator(args.film):
            sample, = inferencer.predict(frame)
            found = sv.Detections.from_mmdetection(sample)
            found = tracker.update(found[found.confidence >= args.score_thr])
            found = found[found.tracker_id >= 0]
            line.trigger(found)
            labels = [f'{classes[label]} {number}' for label, number in zip(found.class_id, found.tracker_id)]
            frame = draw_traces.annotate(draw_labels.annotate(draw_boxes.annotate(frame, found), found, labels), found)
            sink.write_frame(draw_line.annotate(frame, line))
    print(f'{line.in_count} one way, {line.out_count} the other')


if __name__ == '__main__':
    main()
