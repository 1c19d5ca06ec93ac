from napari_pix2pix.data.channel_look import ChannelLook, common_look, shared_looks

GREEN = ChannelLook("#00FF00", limits=(0.0, 10.0))


def test_images_share_colours_and_the_median_of_limits():
    other = ChannelLook("#00FF00", limits=(2.0, 30.0))
    red = ChannelLook("#FF0000", limits=(0.0, 10.0))
    assert shared_looks([(GREEN,), (other,)]) == (ChannelLook("#00FF00", limits=(1.0, 20.0)),)
    assert shared_looks([(GREEN,), (red,)]) == (ChannelLook(limits=(0.0, 10.0)),)


def test_nothing_is_shared_with_an_image_that_states_nothing_or_has_other_channels():
    assert shared_looks([(GREEN,), ()]) == ()
    assert shared_looks([(GREEN,), (GREEN, GREEN)]) == ()
    assert shared_looks([]) == ()


def test_one_look_for_all_channels():
    wide = ChannelLook("#00FF00", limits=(-5.0, 7.0))
    assert common_look((GREEN, wide)) == ChannelLook("#00FF00", limits=(-5.0, 10.0))
    assert common_look((GREEN, ChannelLook("#0000FF"))) == ChannelLook()
    assert common_look(()) == ChannelLook()


def test_blending_is_shared_only_if_it_is_the_same():
    added = ChannelLook("#00FF00", blending="additive")
    assert shared_looks([(added,), (added,)]) == (added,)
    assert shared_looks([(added,), (ChannelLook("#00FF00"),)]) == (ChannelLook("#00FF00"),)
