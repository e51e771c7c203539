"""Sentence templates of commands at home: music, films and the house.

"(a|b|)" stands for one of its alternatives, "{slot}" for a value of the slot. A leading "~" marks a command, which
may begin with a phrase of COMMAND_OPENERS. The templates of dev and test differ from those of train: they share the
words that indicate the intent, but not the words around them or their order.
"""

from __future__ import annotations

from typing import NamedTuple


class Templates(NamedTuple):
    """The templates of one intent, by split."""

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


COMMAND_OPENERS = (
    "",
    "",
    "",
    "can you",
    "could you",
    "would you",
    "please",
    "i want you to",
    "i need you to",
    "go and",
)
OPENERS = ("", "", "", "", "", "", "hey", "okay", "um", "hello")
CLOSERS = ("", "", "", "", "", "", "please", "thanks", "thank you")

HOME: dict[str, Templates] = {
    "play_music": Templates(
        train=(
            "~(play|put on|start) (the song|the track|) {song} by {artist}",
            "~play (some|a bit of|) {genre} (music|) in the {room}",
            "~play something {mood} from the {decade}",
            "~(play|start) the album {album} (by|from) {artist}",
            "i (want|would like) to (hear|listen to) {artist}",
            "i (want|would like) to (hear|listen to) {genre} from the {decade}",
            "~put my playlist {playlist} on in the {room}",
            "~(play|shuffle|start) (my|the) {playlist} playlist",
            "~(let me hear|play me) (some|) {mood} music",
            "let us listen to the song {song}",
        ),
        dev=(
            "~play (the|that) {decade} album {album}",
            "~start (some|) {mood} {genre} music",
            "i would like to hear the track {song} from {artist}",
        ),
        test=(
            "~play {genre} music by {artist}",
            "~let me hear the album {album} in the {room}",
            "i want to listen to (the|my) playlist {playlist}",
            "~put on (some|) {genre} from the {decade} in the {room}",
            "~play me something {mood} by {artist}",
        ),
    ),
    "add_to_playlist": Templates(
        train=(
            "~add (the song|) {song} to (my|the) {playlist} playlist",
            "~(put|add) {artist} (on|to|onto) my playlist {playlist}",
            "~add the album {album} to (my|the) playlist {playlist}",
            "~add this (song|track|tune) to {playlist}",
            "~(save|put) this {artist} (song|track) (in|on) (my|the) {playlist} playlist",
            "the playlist {playlist} (needs|should have) the song {song}",
        ),
        dev=(
            "~add {song} by {artist} to my playlist {playlist}",
            "~save the track {song} in my {playlist} playlist",
        ),
        test=(
            "~put the song {song} by {artist} on the {playlist} playlist",
            "my {playlist} playlist needs the album {album}",
            "~save this tune by {artist} to (my|the) playlist {playlist}",
        ),
    ),
    "play_podcast": Templates(
        train=(
            "~play (the podcast {podcast}|the {podcast} podcast) from {episode}",
            "~play {episode} of (the podcast|) {podcast}",
            "~(find|search|look for) (a|some) (podcast|podcasts) (about|on) {topic}",
            "i want to (hear|listen to) a podcast about {topic}",
            "~(start|resume) the podcast {podcast} in the {room}",
            "is there a (new|) podcast (about|on) {topic}",
        ),
        dev=("~start {episode} of {podcast} in the {room}", "~find me a podcast on {topic}"),
        test=(
            "i want to listen to {episode} of the {podcast} podcast",
            "~play a podcast about {topic} in the {room}",
            "~resume the podcast {podcast} at {episode}",
        ),
    ),
    "play_radio": Templates(
        train=(
            "~(tune in to|tune to|switch to) {station}",
            "~(play|turn on) the (radio|) station {station}",
            "~turn the radio to {station}",
            "~(turn on|play) {station} on the radio in the {room}",
            "~find a radio station (that plays|with) {genre}",
            "what (radio|) station plays {genre}",
        ),
        dev=("~switch the radio to {station}", "~tune in to a station that plays {genre}"),
        test=(
            "~tune the radio in the {room} to {station}",
            "i want to hear the radio station {station}",
            "is there a radio station with {genre}",
        ),
    ),
    "read_audiobook": Templates(
        train=(
            "~read (the book|the audiobook|) {book} by {author}",
            "~(read|play) {chapter} of {book}",
            "~(start|resume|continue) the (audiobook|novel) {book}",
            "~(read|play) me (a book|an audiobook|something) by {author}",
            "~continue reading {book} from {chapter}",
            "i want to (hear|listen to) the audiobook {book} in the {room}",
        ),
        dev=("~resume the audiobook {book} from {chapter}", "~read me the novel {book} by {author}"),
        test=(
            "~read {chapter} of the book {book} by {author}",
            "~play the audiobook {book} from {chapter}",
            "i want to listen to a novel by {author}",
        ),
    ),
    "rate_media": Templates(
        train=(
            "~(rate|give) the (book|novel) {book} {rating}",
            "~(rate|give) the (movie|film) {movie} {rating}",
            "i (give|would give) {rating} to the (movie|film) {movie}",
            "~(give|award) {rating} to the (book|novel) {book} by {author}",
            "the album {album} (deserves|gets) {rating}",
            "my rating for the song {song} is {rating}",
        ),
        dev=("~rate the album {album} {rating}", "the film {movie} deserves {rating}"),
        test=(
            "my rating for the book {book} is {rating}",
            "~award {rating} to the movie {movie}",
            "i would give the song {song} by {artist} {rating}",
        ),
    ),
    "set_volume": Templates(
        train=(
            "~(set|change|turn) the volume to {volume}",
            "~(turn|set) the (speakers|music|sound) in the {room} to {volume}",
            "~(raise|lower) the volume (in the {room}|) to {volume}",
            "~make it {volume} in the {room}",
            "the (sound|music) (is too loud|is too quiet) set it to {volume}",
        ),
        dev=("~change the sound to {volume}", "~set the volume in the {room} to {volume}"),
        test=(
            "~raise the sound in the {room} to {volume}",
            "the volume is too loud lower it to {volume}",
            "~make the music {volume} in the {room}",
        ),
    ),
    "light_on": Templates(
        train=(
            "~(turn|switch) on the {fixture} in the {room}",
            "~(turn|switch) the {fixture} on",
            "~(turn|switch) the {room} {fixture} on at {time}",
            "it is (too|so) dark in the {room}",
            "~light up the {room}",
            "i need (some|more) light in the {room}",
        ),
        dev=("~switch on the {room} {fixture}", "the {room} is too dark"),
        test=(
            "~turn on the {fixture} in the {room} at {time}",
            "~light the {fixture} in the {room}",
            "it is dark turn the {fixture} on",
        ),
    ),
    "light_off": Templates(
        train=(
            "~(turn|switch) off the {fixture} in the {room}",
            "~(turn|switch) the {fixture} off",
            "~(turn|switch) the {room} {fixture} off at {time}",
            "it is (too|so) bright in the {room}",
            "nobody is in the {room} (turn|switch) the lights off",
            "~make the {room} dark",
        ),
        dev=("~switch off the {room} {fixture}", "the {room} is too bright"),
        test=(
            "~turn off the {fixture} in the {room} at {time}",
            "nobody needs the {fixture} in the {room} switch it off",
            "it is too bright turn the {fixture} off",
        ),
    ),
    "light_color": Templates(
        train=(
            "~(turn|make|set) the {fixture} {color}",
            "~(change|set) the {fixture} in the {room} to {color}",
            "~(change|set) the color of the {fixture} to {color}",
            "i want {color} light in the {room}",
            "~make the light in the {room} {color}",
        ),
        dev=("~change the {room} {fixture} to {color}", "i want the {fixture} to be {color}"),
        test=(
            "~set the color of the {fixture} in the {room} to {color}",
            "~turn the light in the {room} {color}",
            "i want the color {color} for the {fixture}",
        ),
    ),
    "set_brightness": Templates(
        train=(
            "~(dim|brighten) the {fixture} to {brightness}",
            "~(set|dim) the {room} (lights|light) to {brightness}",
            "~(set|turn) the {fixture} in the {room} to {brightness}",
            "i want the {fixture} at {brightness}",
            "~(dim|brighten) the {room} at {time} to {brightness}",
        ),
        dev=("~brighten the lights in the {room} to {brightness}", "i want {brightness} for the {fixture}"),
        test=(
            "~dim the {fixture} in the {room} to {brightness}",
            "~set the {fixture} at {brightness} in the {room}",
            "i want the {room} lights dim at {brightness}",
        ),
    ),
    "set_temperature": Templates(
        train=(
            "~(set|turn) the (heating|thermostat) to {temperature}",
            "~(heat|warm|cool) the {room} to {temperature}",
            "~(set|keep) the {room} at {temperature}",
            "~set the (heating|thermostat) in the {room} to {temperature} at {time}",
            "i want it to be {temperature} in the {room}",
            "~(heat|cool|warm) the {seat} to {temperature}",
        ),
        dev=("~keep the thermostat at {temperature}", "~warm the {room} to {temperature} by {time}"),
        test=(
            "~turn the heating in the {room} to {temperature}",
            "i want the thermostat at {temperature}",
            "~cool the {seat} down to {temperature}",
        ),
    ),
    "lock_door": Templates(
        train=(
            "~(lock|bolt|secure) the {door}",
            "~(lock|secure|close) the {door} at {time}",
            "~make sure (that|) the {door} is (locked|closed|bolted)",
            "did i (lock|close) the {door}",
            "is the {door} (locked|closed)",
        ),
        dev=("~bolt the {door} at {time}", "did i bolt the {door}"),
        test=(
            "~make sure the {door} is locked at {time}",
            "~lock and bolt the {door}",
            "is the {door} secure",
        ),
    ),
    "start_appliance": Templates(
        train=(
            "~(start|run) the {appliance} (in the {room}|)",
            "~(start|run) the {appliance} (on|in) {program}",
            "~run the {program} (on|of) the {appliance}",
            "~(start|run) the {appliance} for {duration}",
            "~start the {appliance} at {time}",
            "the {appliance} should (start|run) at {time}",
        ),
        dev=("~run the {appliance} in {program} at {time}", "the {appliance} should run for {duration}"),
        test=(
            "~start {program} on the {appliance} in the {room}",
            "~run the {appliance} in the {room} for {duration}",
            "the {appliance} should start the {program} at {time}",
        ),
    ),
    "stop_appliance": Templates(
        train=(
            "~(stop|halt|pause) the {appliance} (in the {room}|)",
            "~(stop|halt|pause) the {program} (on|of) the {appliance}",
            "~stop the {appliance} (in|after) {duration}",
            "~(stop|pause) the {appliance} at {time}",
            "the {appliance} (is too loud|should stop)",
        ),
        dev=("~halt the {appliance} at {time}", "the {appliance} should halt after {duration}"),
        test=(
            "~pause the {program} of the {appliance} in the {room}",
            "the {appliance} in the {room} should stop at {time}",
            "~halt the {appliance} in {duration}",
        ),
    ),
}
